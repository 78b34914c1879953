import { EventWindow, type ProcessEvent } from '../../src/client/event-window.ts';
import type { ManagedProcess } from '../../src/process/managed-process.ts';
import { serverNotifications } from '../../src/protocol/methods.ts';
import { memoryTransportPair } from '../../src/rpc/memory-transport.ts';
import { Peer } from '../../src/rpc/peer.ts';
import type { Transport } from '../../src/rpc/transport.ts';
import { OutputPush } from '../../src/server/output-push.ts';

/**
 * A client with one process, over one connection after the other: the real push, peers and window. What it has acknowledged is what its
 * window holds: the cursor that it names on the next connection.
 */
export class Reader {
  readonly #process: ManagedProcess;
  readonly #window = new EventWindow(Infinity);
  #near: Transport | undefined;
  #push: OutputPush | undefined;
  /** Everything in the order in which it became certain. */
  readonly taken: ProcessEvent[] = [];

  constructor(process: ManagedProcess) {
    this.#process = process;
  }

  get cursor(): number {
    return this.#window.nextSeq - 1;
  }

  get attached(): boolean {
    return this.#push !== undefined;
  }

  /** A new connection, from the cursor. */
  attach(): void {
    const [near, far] = memoryTransportPair();
    const quiet = { onRequest: () => {}, onClose: () => {}, onInternalError: () => {} };
    const push = new OutputPush(
      new Peer(far, { ...quiet, onNotification: () => {}, onDrain: () => push.resume() }),
    );
    const peer = new Peer(near, {
      ...quiet,
      onNotification: (method, params) => void (this.#near === near && this.#take(method, params)),
    });
    void peer;
    this.#near = near;
    this.#push = push;
    push.attach(this.#process, this.cursor);
  }

  /** The connection breaks: what is on its way is lost. */
  cut(): void {
    this.#push?.dispose();
    this.#near?.close({ kind: 'lost', message: 'cut' });
    this.#near = undefined;
    this.#push = undefined;
  }

  /** Stops, and goes on, taking what comes. */
  pause(paused: boolean): void {
    if (paused) this.#near?.pause();
    else this.#near?.resume();
  }

  async more(): Promise<void> {
    await this.#window.more();
  }

  #take(method: string, params: unknown): void {
    for (const event of this.#window.add(decode(method, params))) this.taken.push(event);
  }
}

function decode(method: string, params: unknown): ProcessEvent {
  switch (method) {
    case 'process/output': {
      const { seq, stream, chunk } = serverNotifications[method].params.parse(params);
      return { kind: 'output', seq, stream, bytes: chunk };
    }
    case 'process/exited':
      return { kind: 'exited', ...serverNotifications[method].params.parse(params) };
    case 'process/closed':
      return { kind: 'closed', ...serverNotifications[method].params.parse(params) };
    case 'process/gap': {
      const gap = serverNotifications[method].params.parse(params);
      return { kind: 'gap', seq: gap.toSeq, gap };
    }
    default:
      throw new Error(`An unexpected notification: ${method}`);
  }
}
