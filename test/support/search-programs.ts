import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/** Where ripgrep is; undefined where it is not installed. */
export const ripgrepPath = (process.env['PATH'] ?? '')
  .split(':')
  .map((folder) => path.join(folder, 'rg'))
  .find((program) => {
    try {
      accessSync(program, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Skips the test where ripgrep is missing; with CI=true that is a failure. */
export function requireRipgrep(test: { skip(note: string): void }): string {
  if (ripgrepPath !== undefined) return ripgrepPath;
  const note = 'rg is missing; install it with: apt-get install ripgrep';
  if (process.env['CI'] === 'true') throw new Error(note);
  test.skip(note);
  return '';
}

export function isFile(file: string): boolean {
  return statSync(file).isFile();
}
