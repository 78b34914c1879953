import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { ConfinedProgram } from '../../process/confined-program.ts';
import { RpcError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { parseOwnMessage } from '../../rpc/json-text.ts';
import { LineTransport } from '../../rpc/line-transport.ts';
import { Peer } from '../../rpc/peer.ts';
import type { Plan } from '../../sandbox/plan.ts';
import type { Sandboxes } from '../../sandbox/sandboxes.ts';
import type { NativeChild, NativeSpec } from '../../support/native.ts';
import type { FileMethod } from '../handlers.ts';
import { carry } from './carried-params.ts';
import { TurnTransport } from './turns.ts';
import { workerRuns, writeWorkerOptions } from './worker-options.ts';

/** The worker's own file, from the sources or as they were built. */
const file = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
);

export interface FileWorkerOptions {
  readonly plan: Plan;
  readonly ripgrep: string | undefined;
  readonly onNotification: (worker: FileWorker, method: string, params: unknown) => void;
  /** It takes more. */
  readonly onDrain: (worker: FileWorker) => void;
  /** Called once, however it has ended. */
  readonly onEnd: (worker: FileWorker) => void;
}

/** A process in a sandbox that does file operations for one connection. */
export class FileWorker {
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  readonly #peer: Peer;
  readonly #program: ConfinedProgram;
  #said = '';
  #runs = false;
  readonly #startTimer: NodeJS.Timeout;
  #release: (() => void) | undefined;
  #isOver = false;

  private constructor(program: ConfinedProgram, fds: NativeChild, options: FileWorkerOptions) {
    this.#program = program;
    const gone = Promise.withResolvers<void>();
    this.ended = gone.promise;
    program.onExit(() => {
      gone.resolve(program.release());
    });
    this.#startTimer = setTimeout(() => this.#kill(), limits.fileWorkerStartMs);
    const output = new Socket({ fd: fds.stdout, readable: true, writable: false });
    const input = new Socket({ fd: fds.stdin, readable: false, writable: true });
    const errors = new Socket({ fd: fds.stderr, readable: true, writable: false });
    errors.on('error', () => {});
    errors.on('data', (part: Buffer) => {
      this.#said = (this.#said + part.toString('latin1')).slice(-limits.fileWorkerSaidBytes);
    });
    this.#peer = new Peer(
      new TurnTransport(new LineTransport(output, input, limits.fileWorkerMessageBytes)),
      {
        parse: parseOwnMessage,
        onRequest: () => {
          throw new RpcError('methodNotFound', 'A worker asks nothing.');
        },
        onNotification: (method, params) => {
          if (method === workerRuns) this.#started();
          else options.onNotification(this, method, params);
        },
        onDrain: () => options.onDrain(this),
        onClose: () => {
          this.#over();
          options.onEnd(this);
        },
        onInternalError: () => {},
      },
    );
  }

  /** Throws an RpcError that says why it does not run, or a StalePlanError. */
  static async start(sandboxes: Sandboxes, options: FileWorkerOptions): Promise<FileWorker> {
    const { enforcement } = options.plan;
    const unseen = enforcement.enforcer === 'bubblewrap' ? enforcement.mounts.placeholders : [];
    const text = writeWorkerOptions({ unseen, ripgrep: options.ripgrep });
    const command: NativeSpec = {
      candidates: strings([process.execPath]),
      argv: strings([process.execPath, file, text]),
      env: strings([]),
      cwd: strings(['/']),
      pipeStdin: 1,
      rows: 0,
      cols: 0,
    };
    const launch = await sandboxes.launch(command, options.plan, false);
    if (launch === undefined) throw new Error('A worker runs in a sandbox only.');
    const { program, fds } = await ConfinedProgram.start(launch, {
      program: process.execPath,
      native: command,
    });
    return new FileWorker(program, fds, options);
  }

  get unsentBytes(): number {
    return this.#peer.unsentBytes;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async call(method: FileMethod, params: object): Promise<unknown> {
    try {
      return await this.#peer.call(method, carry(params));
    } catch (error) {
      if (error instanceof RpcError) throw error;
      throw this.#obituary();
    }
  }

  /** Reads nothing from it, or goes on. */
  setReading(reads: boolean): void {
    if (reads) {
      this.#release?.();
      this.#release = undefined;
    } else this.#release ??= this.#peer.hold();
  }

  /** Lets it give up what it has open and go; what does not go is killed. */
  async end(): Promise<void> {
    // A worker that cannot write does not read its end.
    this.setReading(true);
    this.#peer.close({ kind: 'normal', message: 'the worker is not needed any more' });
    const timer = setTimeout(() => this.#kill(), limits.closeTimeoutMs);
    await this.ended;
    clearTimeout(timer);
  }

  #started(): void {
    this.#runs = true;
    clearTimeout(this.#startTimer);
  }

  #over(): void {
    this.#isOver = true;
    clearTimeout(this.#startTimer);
    this.setReading(true);
    // Without its streams it is of no use, and should be gone by itself.
    const timer = setTimeout(() => this.#kill(), limits.closeTimeoutMs);
    timer.unref();
    void this.ended.then(() => clearTimeout(timer));
  }

  #kill(): void {
    try {
      process.kill(-this.#program.pid, 'SIGKILL');
    } catch {
      // It is gone.
    }
  }

  #obituary(): RpcError {
    const said = this.#said.split('\n').find((line) => /^\S.*error/i.test(line));
    const why = said === undefined ? '' : `: ${said.slice(0, 200)}`;
    const text = this.#runs
      ? 'The sandboxed worker that did this has ended before it was done; what it had open is closed. Try again.'
      : `The sandboxed worker could not start, and nothing was done${why}`;
    return new RpcError('internalError', text, {
      data: { kind: this.#runs ? 'workerLost' : 'sandboxFailed' },
    });
  }
}

function strings(items: readonly string[]): Buffer {
  return Buffer.from(items.map((item) => `${item}\0`).join(''));
}
