import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { argv } from 'node:process';

import { Chance } from './faults-random.ts';

/*
 * A program: creates so many files below a directory, and between them renames and removes files and directories, as the seed says. Many of
 * the paths that it picks are not there; such a step does nothing.
 */
const [root = '', seed = '', count = ''] = argv.slice(2);
const chance = new Chance(Number(seed), 0);

function directory(): string {
  return Array.from({ length: chance.below(4) }, () => `d${chance.below(5)}`).join('/');
}

function file(): string {
  return path.join(root, directory(), `f${chance.below(60)}`);
}

function attempt(step: () => void): void {
  try {
    step();
  } catch {
    // It was not there, or something else was.
  }
}

for (let created = 0; created < Number(count);) {
  const kind = chance.below(100);
  if (kind < 55) {
    attempt(() => {
      const made = file();
      if (kind < 15) mkdirSync(path.dirname(made), { recursive: true });
      writeFileSync(made, String(created));
      created += 1;
    });
  } else if (kind < 72) attempt(() => renameSync(file(), file()));
  else if (kind < 77) attempt(() => renameSync(path.join(root, directory()), path.join(root, directory())));
  else if (kind < 97) attempt(() => rmSync(file()));
  else {
    const gone = directory();
    if (gone.includes('/')) attempt(() => rmSync(path.join(root, gone), { recursive: true }));
  }
}
