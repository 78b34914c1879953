import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** Programs that not every machine has, and what installs them. */
const packages = {
  bash: 'apt-get install bash',
  prlimit: 'apt-get install util-linux',
  python3: 'apt-get install python3',
  rg: 'apt-get install ripgrep',
  setsid: 'apt-get install util-linux',
  stty: 'apt-get install coreutils',
  tar: 'apt-get install tar',
  unshare: 'apt-get install util-linux',
} as const;

export type Program = keyof typeof packages;

/** Skips the test where a program is missing; with CI=true that is a failure, so that nothing is silently left out there. */
export function requirePrograms(programs: readonly Program[], test: { skip(note: string): void }): void {
  for (const program of programs) {
    if (pathOf(program) !== undefined) continue;
    const note = `${program} is missing; install it with: ${packages[program]}`;
    if (process.env['CI'] === 'true') throw new Error(note);
    test.skip(note);
  }
}

/** Where a program is; undefined where it is not installed. */
export function pathOf(program: Program): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.map((folder) => path.join(folder, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
