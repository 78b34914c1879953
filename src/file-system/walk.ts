import type { Dirent } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { Params, WireResult } from '../protocol/methods.ts';
import { type EnvironmentPath, showPath } from '../protocol/path.ts';
import { errnoOf, osErrorText } from '../support/os-error.ts';
import { joinPath, realPath } from '../disk/folder.ts';
import type { Unseen } from './unseen.ts';

type WalkOptions = Params<'fs/walk'>['options'];

/** Lists what is below a directory, breadth first, sorted by name, until a limit is reached. */
export async function walk(
  root: EnvironmentPath,
  options: WalkOptions,
  unseen: Unseen,
): Promise<WireResult<'fs/walk'>> {
  checkLimits(options);
  return new Walk(root, options, unseen).run();
}

function checkLimits(options: WalkOptions): void {
  if (options.maxDirectories === 0 || options.maxEntries === 0) {
    throw invalidRequest('filesystem walk limits must be greater than zero');
  }
  const { walkDepth, walkDirectories, walkEntries } = limits;
  if (
    options.maxDepth > walkDepth ||
    options.maxDirectories > walkDirectories ||
    options.maxEntries > walkEntries
  ) {
    throw invalidRequest(
      `filesystem walk limits exceed maximums: depth=${walkDepth}, directories=${walkDirectories}, entries=${walkEntries}`,
    );
  }
}

const dot = 0x2e;

type Kind = 'file' | 'directory' | 'other' | 'nothing';

function kindOf(found: { isFile(): boolean; isDirectory(): boolean }): Kind {
  if (found.isFile()) return 'file';
  return found.isDirectory() ? 'directory' : 'other';
}

class Walk {
  readonly #root: EnvironmentPath;
  readonly #options: WalkOptions;
  readonly #unseen: Unseen;
  readonly #entries: WireResult<'fs/walk'>['entries'] = [];
  readonly #errors: WireResult<'fs/walk'>['errors'] = [];
  /** Real paths of the directories entered, where links are followed: each one once. */
  readonly #entered = new Set<string>();
  #directories = 0;
  #examined = 0;
  #truncated = false;

  constructor(root: EnvironmentPath, options: WalkOptions, unseen: Unseen) {
    this.#root = root;
    this.#options = options;
    this.#unseen = unseen;
  }

  async run(): Promise<WireResult<'fs/walk'>> {
    let level: Buffer[] = (await this.#isRoot()) ? [this.#root.bytes] : [];
    for (let depth = 0; level.length > 0 && depth <= this.#options.maxDepth && !this.#truncated; depth++) {
      const next: Buffer[] = [];
      for (const folder of level) {
        if (this.#directories >= this.#options.maxDirectories) this.#truncated = true;
        if (this.#truncated) break;
        this.#directories += 1;
        await this.#readFolder(folder, next);
      }
      level = next;
    }
    return { entries: this.#entries, errors: this.#errors, truncated: this.#truncated };
  }

  /** A file, and a link that is not to be followed, have nothing below them. */
  async #isRoot(): Promise<boolean> {
    const found = await stat(this.#root.bytes);
    if (!found.isDirectory()) return false;
    const real = await realPath(this.#root.bytes);
    this.#entered.add(real.toString('latin1'));
    if (this.#options.followDirectorySymlinks) return true;
    return !(await lstat(this.#root.bytes)).isSymbolicLink();
  }

  async #readFolder(folder: Buffer, next: Buffer[]): Promise<void> {
    let found: Dirent<Buffer>[];
    try {
      found = await readdir(folder, { withFileTypes: true, encoding: 'buffer' });
    } catch (error) {
      return this.#fail(folder, error);
    }
    found.sort((one, other) => Buffer.compare(one.name, other.name));
    for (const entry of found) {
      if (this.#examined >= this.#options.maxEntries) {
        this.#truncated = true;
        return;
      }
      if (await this.#unseen.hides(folder, entry.name)) continue;
      if (await this.#examine(joinPath(folder, entry.name), entry, next)) this.#examined += 1;
    }
  }

  /** Answers whether it counts: a link that leads nowhere does not. */
  async #examine(path: Buffer, entry: Dirent<Buffer>, next: Buffer[]): Promise<boolean> {
    try {
      const kind = entry.isSymbolicLink() ? await this.#kindOfTarget(path) : kindOf(entry);
      if (kind === 'nothing') return false;
      if (kind === 'file' && !entry.isSymbolicLink()) this.#entries.push({ path: this.#show(path), kind });
      if (kind === 'directory') await this.#addDirectory(path, entry, next);
    } catch (error) {
      this.#fail(path, error);
    }
    return true;
  }

  async #addDirectory(path: Buffer, entry: Dirent<Buffer>, next: Buffer[]): Promise<void> {
    const { followDirectorySymlinks, pruneHiddenDirectories } = this.#options;
    if (entry.isSymbolicLink() && !followDirectorySymlinks) return;
    this.#entries.push({ path: this.#show(path), kind: 'directory' });
    if (pruneHiddenDirectories && entry.name[0] === dot) return;
    // Listed under each of its names, entered once.
    if (!followDirectorySymlinks || (await this.#enter(path))) next.push(path);
  }

  async #kindOfTarget(path: Buffer): Promise<Kind> {
    return stat(path).then(kindOf, () => 'nothing' as const);
  }

  async #enter(path: Buffer): Promise<boolean> {
    const real = (await realPath(path)).toString('latin1');
    if (this.#entered.has(real)) return false;
    this.#entered.add(real);
    return true;
  }

  #show(path: Buffer): string {
    return showPath(path, this.#root.form);
  }

  #fail(path: Buffer, error: unknown): void {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    this.#errors.push({ path: this.#show(path), message: osErrorText(errno) });
  }
}
