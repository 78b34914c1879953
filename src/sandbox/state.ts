import { randomUUID } from 'node:crypto';
import {
  type FileHandle,
  appendFile,
  chmod,
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  rm,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { native } from '../support/native.ts';
import type { MountPlan } from './mounts.ts';
import { type PlaceholderLease, Placeholders, removeLeftover } from './placeholders.ts';
import { isBelow } from './rule-paths.ts';
import { isAtOrBelow } from './rules.ts';

/**
 * What sandboxes need on disk, in a directory of this executor below one of its user's. A lock on it tells the next executor that this
 * one lives: what a dead one has left is removed at the next start.
 */
export class SandboxState implements AsyncDisposable {
  readonly directory: Buffer;
  /** An empty file that nobody may open, to be mounted over denied ones. */
  readonly deniedFile: string;
  readonly #lock: FileHandle;
  readonly #placeholders: Placeholders;

  private constructor(root: string, own: string, lock: FileHandle) {
    this.directory = Buffer.from(root);
    this.deniedFile = join(own, 'denied');
    this.#lock = lock;
    this.#own = own;
    const recorded = new Set<string>();
    this.#placeholders = new Placeholders(async (path) => {
      const line = path.toString('base64');
      // Every command of a workspace needs the same ones.
      if (recorded.has(line)) return;
      await appendFile(join(own, 'placeholders'), `${line}\n`);
      recorded.add(line);
    });
  }

  readonly #own: string;

  /** `root` is made if it is missing; one that others can write to is refused. */
  static async open(root: string): Promise<SandboxState> {
    await mkdir(root, { mode: 0o700, recursive: true });
    const problem = await stateProblem(root);
    if (problem !== undefined) throw new Error(problem);
    await removeLeftovers(root);
    const { own, lock } = await makeOwn(root);
    const state = new SandboxState(root, own, lock);
    await writeFile(state.deniedFile, '');
    await chmod(state.deniedFile, 0);
    return state;
  }

  /** Makes a directory for something to be mounted on; undefined where nobody can, so that nobody in a sandbox can either. */
  placeholder(path: Buffer): Promise<PlaceholderLease | 'changed' | undefined> {
    return this.#placeholders.lease(path);
  }

  /** Whether a sandbox would see this directory if it were not hidden. */
  visibleIn(plan: MountPlan): boolean {
    if (plan.base !== 'none') return true;
    return plan.mounts.some(
      ({ kind, path }) =>
        kind === 'bind' && (isAtOrBelow(this.directory, path) || isBelow(path, this.directory)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#placeholders.dispose();
    await rm(this.#own, { recursive: true, force: true });
    await this.#lock.close();
  }
}

/** What is wrong with what is there; undefined where nothing is, or nothing is there. */
export async function stateProblem(root: string): Promise<string | undefined> {
  const found = await lstat(root).catch(() => undefined);
  if (found === undefined) return undefined;
  const isOurs = found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
  return isOurs
    ? undefined
    : `${root} must be a directory of this user that nobody else can use; remove it or name another one.`;
}

/** Another executor that starts can take a directory for a leftover until it is locked; then there is another one. */
async function makeOwn(root: string): Promise<{ readonly own: string; readonly lock: FileHandle }> {
  for (;;) {
    const own = join(root, randomUUID());
    await mkdir(own, { mode: 0o700 });
    const lock = await open(join(own, 'lock'), 'w', 0o600);
    if (native().lock(lock.fd, true) === 0 && (await lock.stat()).nlink > 0) return { own, lock };
    await lock.close();
  }
}

async function removeLeftovers(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const folder = join(root, name);
    const lock = await open(join(folder, 'lock'), 'r').catch(() => undefined);
    if (lock === undefined) continue;
    try {
      if (native().lock(lock.fd, true) !== 0) continue;
      const lines = await readFile(join(folder, 'placeholders'), 'latin1').catch(() => '');
      for (const line of lines.split('\n')) {
        if (line !== '') await removeLeftover(Buffer.from(line, 'base64'));
      }
      await rm(folder, { recursive: true, force: true });
    } finally {
      await lock.close();
    }
  }
}
