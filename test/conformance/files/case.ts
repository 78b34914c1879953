import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';

import { markVariable } from '../../support/conformance-leftovers.ts';
import type { Target, TestExecutor } from '../../support/conformance-targets.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import { openSession } from '../../support/files-session.ts';
import { Tree } from '../../support/files-tree.ts';

/** A rule of the file methods that takes more than one request to see. */
export interface FileCase {
  readonly id: string;
  readonly title: string;
  /** `shared`: where several connections meet one executor. `own`: where the executor is a process of its own. */
  readonly over?: 'shared' | 'own';
  run(context: FileContext): Promise<void>;
}

export function appliesTo(one: FileCase, target: Target): boolean {
  if (one.over === undefined) return true;
  return one.over === 'shared' ? target.sharesSessions : target.name !== 'memory';
}

/** What a case works with. Everything that it opens is closed behind it. */
export class FileContext implements AsyncDisposable {
  readonly target: Target;
  /** A session that the cases share. */
  readonly client: WireClient;
  readonly #executor: TestExecutor;
  readonly #stack = new AsyncDisposableStack();
  #tree: Tree | undefined;

  constructor(target: Target, executor: TestExecutor, client: WireClient) {
    this.target = target;
    this.client = client;
    this.#executor = executor;
  }

  get tree(): Tree {
    if (this.#tree === undefined) throw new Error('The case has not asked for its tree.');
    return this.#tree;
  }

  async fill(): Promise<Tree> {
    this.#tree ??= this.#stack.use(await Tree.create());
    return this.#tree;
  }

  uri(name: string | Buffer): string {
    return this.tree.encoder('uri')(name);
  }

  /** A connection and session of its own. Over stdio also an executor of its own. */
  async open(): Promise<WireClient> {
    return this.#stack.use(await openSession(await this.#executor.connect(), this.target.mark));
  }

  defer(action: () => Promise<void>): void {
    this.#stack.defer(action);
  }

  /** Runs a program of Node beside the case until its end. It says that it is ready by writing something. */
  async beside(program: string, ...args: string[]): Promise<void> {
    const child = spawn(process.execPath, ['-e', program, ...args], {
      env: { ...process.env, [markVariable]: this.target.mark },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    this.#stack.defer(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    await Promise.race([once(child.stdout, 'data'), exited]);
    if (child.exitCode !== null) throw new Error('The program beside the case has ended.');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** How many files below the folder the executor has open. */
export async function openFilesOf(executor: WireClient, folder: string): Promise<number> {
  const { path } = await executor.call('fs/canonicalize', { path: '/proc/self' });
  const links = await Promise.all(
    (await readdir(`${path}/fd`)).map(async (fd) => readlink(`${path}/fd/${fd}`).catch(() => '')),
  );
  return links.filter((link) => link.startsWith(`${folder}/`)).length;
}
