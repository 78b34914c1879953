import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';

import { markVariable } from './conformance-leftovers.ts';

/** The command line as it is started from the sources. */
export const main = path.resolve(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** A start takes 0.3 s; the rest is for a loaded machine. */
const deadlineMs = 40_000;

export interface CliOptions {
  /** Beyond PATH, HOME, LANG and the mark. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Found by expectNothingLeft when the process stays. */
  readonly mark?: string;
}

export interface Outcome {
  /** undefined where a signal has ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a stream has brought so far. */
export interface Captured {
  bytes(): Buffer;
  /** Resolves with the text as soon as it has the pattern in it; fails when it ends before, or at the deadline. */
  shows(pattern: RegExp | string): Promise<string>;
}

export interface CliChild extends AsyncDisposable {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Captured;
  readonly stderr: Captured;
  /** The reader of standard output goes away. */
  abandonStdout(): void;
  kill(signal: NodeJS.Signals): void;
  /** Its end. */
  outcome(): Promise<Outcome>;
}

/** All variables of a command line under test, so that none of ours steer it. */
export function cliVariables({ env = {}, mark = '' }: CliOptions): Record<string, string> {
  const own = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: homedir(), LANG: 'C.UTF-8' };
  return { ...own, [markVariable]: mark, ...env };
}

/** Starts the command line with pipes. */
export function startCli(args: readonly string[], options: CliOptions = {}): CliChild {
  const child = spawn(process.execPath, [main, ...args], {
    cwd: options.cwd,
    env: cliVariables(options),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { stdin } = child;
  // It may end before it has read everything, which its status tells.
  stdin.on('error', () => {});
  const stdout = capture(child.stdout);
  const stderr = capture(child.stderr);
  const closed = Promise.withResolvers<number | undefined>();
  child.once('error', closed.reject);
  child.once('close', (code) => closed.resolve(code ?? undefined));
  closed.promise.catch(() => {});
  const name = args.join(' ');
  return {
    pid: child.pid ?? 0,
    stdin,
    stdout,
    stderr,
    abandonStdout: () => void child.stdout.destroy(),
    kill: (signal) => void child.kill(signal),
    outcome: async () => {
      const status = await beforeDeadline(`the end of ${name}`, closed.promise);
      return { status, stdout: stdout.bytes().toString(), stderr: stderr.bytes().toString() };
    },
    [Symbol.asyncDispose]: async () => end(child),
  };
}

/** Runs the command line to its end, with this input. */
export async function cli(
  args: readonly string[],
  { input = '', ...options }: CliOptions & { readonly input?: string | Uint8Array } = {},
): Promise<Outcome> {
  await using child = startCli(args, options);
  child.stdin.end(input);
  return await child.outcome();
}

export interface Server extends CliChild {
  readonly url: string;
}

/** Starts `serve` and waits for its line. */
export async function startServer(args: readonly string[] = [], options: CliOptions = {}): Promise<Server> {
  const child = startCli(['serve', ...args], options);
  try {
    const url = (await child.stdout.shows('\n')).trimEnd();
    return Object.assign(child, { url });
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}

export interface Folder extends AsyncDisposable {
  readonly path: string;
  readonly at: (name: string) => string;
}

export async function cliFolder(): Promise<Folder> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-cli-')));
  return {
    path: folder,
    at: (name) => path.join(folder, name),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

export async function beforeDeadline<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${deadlineMs} ms passed while waiting for ${what}`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Text that is put together from parts, and can be waited for. */
export class GrowingText {
  readonly #parts: Buffer[] = [];
  #ended = false;
  #stir = Promise.withResolvers<void>();

  add(bytes: Uint8Array): void {
    this.#parts.push(Buffer.from(bytes));
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  async shows(pattern: RegExp | string): Promise<string> {
    return beforeDeadline(String(pattern), this.#shows(pattern)).catch((cause: unknown) => {
      throw new Error(`There is no ${String(pattern)} in ${JSON.stringify(this.bytes().toString())}`, {
        cause,
      });
    });
  }

  async #shows(pattern: RegExp | string): Promise<string> {
    for (;;) {
      const text = this.bytes().toString();
      if (typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text)) return text;
      if (this.#ended) throw new Error('It has ended.');
      await this.#stir.promise;
    }
  }

  #wake(): void {
    this.#stir.resolve();
    this.#stir = Promise.withResolvers();
  }
}

function capture(stream: Readable): Captured {
  const text = new GrowingText();
  stream.on('data', (bytes: Buffer) => text.add(bytes));
  stream.once('close', () => text.end());
  return text;
}

/** What it runs ends with it; expectNothingLeft sees to that. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
