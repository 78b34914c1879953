import { statSync } from 'node:fs';
import { pathOf, requirePrograms } from './conformance-programs.ts';

/** Where ripgrep is. Skips the test where it is missing. */
export function requireRipgrep(test: { skip(note: string): void }): string {
  requirePrograms(['rg'], test);
  return pathOf('rg') ?? '';
}

export function isFile(file: string): boolean {
  return statSync(file).isFile();
}
