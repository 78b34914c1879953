import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { within } from './faults-proc.ts';

/** A start takes well under a second; the rest is for a loaded machine. */
const START_MS = 30_000;
const KILLED_MS = 10_000;
/** Enough for a stack trace; only used in error texts. */
const KEPT_STDERR_CHARS = 8_192;

const ownMain = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How an executor is started. */
export interface Launch {
  /** A program with arguments that becomes the executor: it ends with `exec` of what follows. */
  readonly wrap?: readonly string[];
  /** The user to run as; that of the test if absent. */
  readonly uid?: number | undefined;
  /** The executable; that of the sources if absent. */
  readonly main?: string | undefined;
}

/** An executor in a process of its own; disposing it kills that process. */
export class Executor implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  #stderr = '';

  constructor(
    args: readonly string[],
    stdin: 'ignore' | 'pipe',
    { wrap = [], uid, main = ownMain }: Launch = {},
  ) {
    const [program = '', ...rest] = [...wrap, process.execPath, main, 'serve', ...args];
    const user = uid === undefined ? {} : { uid, gid: uid };
    this.child = spawn(program, rest, { stdio: [stdin, 'pipe', 'pipe'], ...user });
    if (this.child.pid === undefined) throw new Error('node cannot be started');
    this.pid = this.child.pid;
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARS);
    });
  }

  /** What it has complained about. */
  get stderr(): string {
    return this.#stderr;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await within(KILLED_MS, 'the end of a killed executor', this.exited);
    // A client that does not read would keep them open.
    this.child.stdin?.destroy();
    this.child.stdout?.destroy();
  }
}

export interface ListeningExecutor extends Executor {
  readonly url: string;
}

/** Starts an executor that listens on a free port. */
export async function startExecutor(...flags: string[]): Promise<ListeningExecutor> {
  return launchExecutor({}, ...flags);
}

export async function launchExecutor(launch: Launch, ...flags: string[]): Promise<ListeningExecutor> {
  const executor = new Executor(['--listen', 'ws://127.0.0.1:0', ...flags], 'ignore', launch);
  const listening = new Promise<string>((resolve, reject) => {
    let stdout = '';
    executor.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const url = /^(ws:\/\/\S+)\n/u.exec(stdout)?.[1];
      if (url !== undefined) resolve(url);
    });
    void executor.exited.then(({ code }) =>
      reject(new Error(`the executor ended with ${code} instead of listening: ${executor.stderr}`)),
    );
  });
  try {
    return Object.assign(executor, { url: await within(START_MS, 'the URL of the executor', listening) });
  } catch (error) {
    await executor[Symbol.asyncDispose]();
    throw error;
  }
}

/** Starts an executor that serves one client on its standard input and output. */
export function startStdioExecutor(...flags: string[]): Executor {
  return new Executor(['--listen', 'stdio', ...flags], 'pipe');
}
