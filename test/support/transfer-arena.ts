import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { differences, makeTree, removeTree, snapshotOf } from './transfer-trees.ts';

/** A directory for hostile archives, `root`, and beside it a tree that must never change, to which links in it lead. */
export class Arena implements Disposable {
  readonly folder: string = realpathSync(mkdtempSync(path.join(tmpdir(), 'exec-hostile-')));
  readonly root: string = path.join(this.folder, 'root');
  readonly #outside = path.join(this.folder, 'outside');
  readonly #before: Map<string, string>;
  readonly #links = new Set(['out', 'outdir', 'outfile']);

  constructor() {
    makeTree(this.#outside, [
      { name: 'file', mode: 0o640, timeMs: 1_700_000_000_001, content: 'must stay' },
      { name: 'shared', mode: 0o600, timeMs: 1_700_000_000_002, content: 'has two names' },
      { name: 'link', timeMs: 1_700_000_000_003, target: 'file' },
      { name: 'dir/', mode: 0o750, timeMs: 1_700_000_000_004 },
      { name: 'dir/inner', mode: 0o400, timeMs: 1_700_000_000_005, content: 'inner' },
      { name: 'empty/', mode: 0o700, timeMs: 1_700_000_000_006 },
    ]);
    linkSync(path.join(this.#outside, 'shared'), path.join(this.#outside, 'second name'));
    this.#before = this.#look();
  }

  /** An empty directory again, but for a few entries that archives meet. */
  reset(): void {
    removeTree(this.root);
    mkdirSync(path.join(this.root, 'there'), { recursive: true });
    writeFileSync(path.join(this.root, 'file'), 'of the directory');
    symlinkSync('../outside', path.join(this.root, 'out'));
    symlinkSync(path.join(this.#outside, 'dir'), path.join(this.root, 'outdir'));
    symlinkSync('../outside/file', path.join(this.root, 'outfile'));
  }

  /** What has changed outside, and links that lead there and were not there before. */
  problems(): string[] {
    const changed = differences(this.#before, this.#look());
    return [...changed, ...this.#linksOut(this.root, 0)];
  }

  [Symbol.dispose](): void {
    removeTree(this.folder);
  }

  #look(): Map<string, string> {
    const found = snapshotOf(this.#outside, { links: true, root: true });
    // The directory above, in which nothing else may appear.
    found.set(
      '..',
      readdirSync(this.folder)
        .filter((name) => name !== 'root')
        .join(),
    );
    return found;
  }

  #linksOut(folder: string, depth: number): string[] {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const full = path.join(folder, entry.name);
      if (entry.isDirectory()) return this.#linksOut(full, depth + 1);
      if (!entry.isSymbolicLink() || (depth === 0 && this.#links.has(entry.name))) return [];
      const target = readlinkSync(full);
      const inside = !target.startsWith('/') && climbs(target) <= depth;
      return inside
        ? []
        : [`a link that leads out: ${JSON.stringify([full, target, lstatSync(full).nlink])}`];
    });
  }
}

/** How many levels a target goes up from where it begins, at its highest. */
function climbs(target: string): number {
  let [level, highest] = [0, 0];
  for (const part of target.split('/')) {
    if (part === '..') level -= 1;
    else if (part !== '' && part !== '.') level += 1;
    highest = Math.min(highest, level);
  }
  return -highest;
}
