import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { expect } from 'vitest';

import type { Method, ServerNotification } from '../../src/protocol/methods.ts';
import { markVariable } from '../support/conformance-leftovers.ts';
import type { Program } from '../support/conformance-programs.ts';
import type { ExecutorOptions, Target, TargetName, TestExecutor } from '../support/conformance-targets.ts';
import { WireClient } from '../support/conformance-wire.ts';

/** One rule of the protocol. */
export interface Case {
  /** Stays the same for ever: reports name it. */
  readonly id: string;
  readonly title: string;
  /** What it is about: methods that it sends and notifications that it gets. That it does so is checked when it has run. */
  readonly covers: readonly (Method | ServerNotification | 'initialized')[];
  /** Where it applies; everywhere if absent. `shared`: where several connections meet one executor. */
  readonly over?: 'shared' | readonly TargetName[];
  readonly needs?: readonly Program[];
  run(context: Context): Promise<void>;
}

export interface Topic {
  readonly name: string;
  readonly cases: readonly Case[];
}

export function appliesTo(one: Case, target: Target): boolean {
  if (one.over === undefined) return true;
  return one.over === 'shared' ? target.sharesSessions : one.over.includes(target.name);
}

/** What a case works with. Everything that it opens is closed behind it. */
export class Context implements AsyncDisposable {
  readonly target: Target;
  readonly #executor: TestExecutor;
  readonly #clients: WireClient[] = [];
  readonly #executors: TestExecutor[] = [];
  #folder: string | undefined;

  constructor(target: Target, executor: TestExecutor) {
    this.target = target;
    this.#executor = executor;
  }

  /** A folder of this case alone, as its processes see it. */
  async folder(): Promise<string> {
    this.#folder ??= await realpath(await mkdtemp(path.join(tmpdir(), 'exec-conformance-')));
    return this.#folder;
  }

  /** A connection on which nothing was said. */
  async connect(executor: TestExecutor = this.#executor): Promise<WireClient> {
    const client = new WireClient(await executor.connect(), {
      cwd: await this.folder(),
      env: {
        PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
        [markVariable]: this.target.mark,
      },
    });
    this.#clients.push(client);
    return client;
  }

  /** A connection with an open session. */
  async open(executor: TestExecutor = this.#executor): Promise<WireClient> {
    const client = await this.connect(executor);
    await client.handshake();
    return client;
  }

  /** An executor of this case alone. */
  async own(options: ExecutorOptions = {}): Promise<TestExecutor> {
    const executor = await this.target.start(options);
    this.#executors.push(executor);
    return executor;
  }

  expectCovered(covers: Case['covers']): void {
    const seen = new Set(this.#clients.flatMap((client) => [...client.covered]));
    expect(
      covers.filter((name) => !seen.has(name)),
      'covered by the title only',
    ).toEqual([]);
  }

  /** Nothing broke a rule that holds for every message. */
  expectNoProblems(): void {
    expect(this.#clients.flatMap((client) => client.allProblems())).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]();
    for (const executor of this.#executors) await executor[Symbol.asyncDispose]();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }
}
