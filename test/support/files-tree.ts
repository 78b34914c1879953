import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { type Server, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type PathForm = 'plain' | 'uri';

/** What only some rows need, because it is slow to make or in the way. */
export type Special = 'fifo' | 'socket' | 'unreadable';

/** When every regular file of a fresh tree was last changed, and read. */
export const modifiedAtMs = 1_700_000_000_500;

/** Longer files appear by their size only. */
const shownBytes = 1024 * 1024;

/** A path below the tree; one that starts with a slash stays as it is. */
export type TreePath = string | Buffer;
export type Encode = (path: TreePath) => string;

/**
 * A folder with one of each: files, directories, links that lead to a file, to a directory, nowhere and in a circle. Made anew for every
 * row of the table.
 */
export class Tree implements AsyncDisposable {
  readonly root: string;
  readonly #servers: Server[] = [];

  private constructor(root: string) {
    this.root = root;
  }

  /** A folder with nothing in it. */
  static async empty(): Promise<Tree> {
    const root = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-files-')));
    await chmod(root, 0o755);
    return new Tree(root);
  }

  static async create(special: readonly Special[] = []): Promise<Tree> {
    const tree = await Tree.empty();
    try {
      await tree.#fill();
      for (const one of special) await tree.#add(one);
      return tree;
    } catch (error) {
      await tree[Symbol.asyncDispose]();
      throw error;
    }
  }

  bytes(name: TreePath): Buffer {
    const bytes = Buffer.from(name as Buffer);
    return bytes[0] === 0x2f ? bytes : Buffer.concat([Buffer.from(`${this.root}/`), bytes]);
  }

  /** A path for the file methods of Node. */
  path(name: string): string {
    return path.resolve(this.root, name);
  }

  encoder(form: PathForm): Encode {
    return form === 'uri'
      ? (name) => fileUri(this.bytes(name))
      : (name) =>
          typeof name === 'string' && name.startsWith('/') ? name : `${this.root}/${name.toString()}`;
  }

  async file(name: TreePath, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const bytes = this.bytes(name);
    await writeFile(bytes, content);
    await chmod(bytes, mode);
    await utimes(bytes, modifiedAtMs / 1000, modifiedAtMs / 1000);
  }

  async directory(name: TreePath, mode = 0o755): Promise<void> {
    await mkdir(this.bytes(name));
    await chmod(this.bytes(name), mode);
  }

  /** Creates the directories above a path. */
  async parents(name: string): Promise<void> {
    await mkdir(path.dirname(this.path(name)), { recursive: true });
  }

  async link(name: TreePath, target: string | Buffer): Promise<void> {
    await symlink(target, this.bytes(name));
  }

  async fifo(name: string): Promise<void> {
    await run('mkfifo', ['-m', '644', this.path(name)]);
  }

  async hardLink(name: string, other: string): Promise<void> {
    await link(this.path(name), this.path(other));
  }

  /** A file that is long and takes no place. */
  async sparse(name: string, size: number): Promise<void> {
    await writeFile(this.path(name), '');
    await truncate(this.path(name), size);
  }

  /** Everything in it, by path: kind, permission bits and content. Names that are not UTF-8 appear as latin1. */
  async snapshot(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    await describeBelow(Buffer.from(this.root), '', found);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    await rm(this.root, { recursive: true, force: true });
  }

  async #fill(): Promise<void> {
    await this.file('file', 'hello\n', 0o640);
    await this.file('other', 'other\n');
    await this.file('empty', '');
    await this.directory('dir');
    await this.file('dir/inner', 'inner\n', 0o600);
    await this.directory('dir/sub', 0o700);
    await this.file('dir/sub/deep', 'deep\n');
    await this.link('dir/link', 'inner');
    await this.directory('emptydir', 0o750);
    await this.link('to-file', 'file');
    await this.link('to-dir', 'dir');
    await this.link('dangling', 'nowhere');
    await this.link('loop', 'loop');
  }

  async #add(special: Special): Promise<void> {
    switch (special) {
      case 'fifo':
        return this.fifo('fifo');
      case 'socket':
        return this.#socket('socket');
      case 'unreadable':
        await this.directory('locked');
        await this.file('locked/inside', 'inside\n');
        await this.directory('shut');
        await this.file('shut/inside', 'inside\n');
        await this.file('secret', 'secret\n', 0);
        await chmod(this.path('emptydir'), 0o755);
        await chmod(this.path('dir/sub'), 0o755);
        await chmod(this.path('locked'), 0);
        await chmod(this.path('shut'), 0o555);
        await chmod(this.root, 0o777);
    }
  }

  async #socket(name: string): Promise<void> {
    const server = createServer().listen(this.path(`${name}.bound`));
    this.#servers.push(server);
    await once(server, 'listening');
    // Under another name: the server removes the one that it knows.
    await rename(this.path(`${name}.bound`), this.path(name));
  }
}

export function fileUri(bytes: Uint8Array): string {
  let uri = 'file://';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    uri += /[A-Za-z0-9/._~-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return uri;
}

async function describeBelow(folder: Buffer, prefix: string, found: Record<string, string>): Promise<void> {
  for (const name of await readdir(folder, { encoding: 'buffer' })) {
    const full = Buffer.concat([folder, Buffer.from('/'), name]);
    const text = name.toString();
    const shown = prefix + (Buffer.from(text).equals(name) ? text : name.toString('latin1'));
    const stat = await lstat(full);
    const mode = (stat.mode & 0o7777).toString(8);
    if (stat.isSymbolicLink()) found[shown] = `link ${await readlink(full)}`;
    else if (stat.isDirectory()) {
      found[shown] = `directory ${mode}`;
      await describeBelow(full, `${shown}/`, found).catch((error: unknown) => {
        found[`${shown}/?`] = String((error as NodeJS.ErrnoException).code);
      });
    } else if (stat.isFile() && stat.size > shownBytes) found[shown] = `file ${mode} of ${stat.size} bytes`;
    else if (stat.isFile()) found[shown] = `file ${mode} ${await contentOf(full)}`;
    else found[shown] = stat.isFIFO() ? 'fifo' : stat.isSocket() ? 'socket' : 'device';
  }
}

async function contentOf(file: Buffer): Promise<string> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    return await handle.readFile('latin1');
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
