import { decodeFrame } from '../../src/relay/frame.ts';
import type { FrameSocket, FrameSocketEvents } from '../../src/relay/frame-socket.ts';
import type { CloseReason } from '../../src/rpc/transport.ts';
import type { Random } from './unit-random.ts';

/** What happens to the frames of a road, each in so many of a thousand cases. */
export interface RoadFaults {
  readonly drop: number;
  readonly repeat: number;
  /** It comes some turns later, behind others. */
  readonly delay: number;
  /** One of the two legs is lost, with all that is on it. */
  readonly cut: number;
  /** Frames of the whole road after which nothing happens to any more. */
  readonly until: number;
}

export const noFaults: RoadFaults = { drop: 0, repeat: 0, delay: 0, cut: 0, until: 0 };

/** A socket in memory: what is sent goes to `carry`. */
export class MemoryFrameSocket implements FrameSocket {
  readonly #carry: (frame: Uint8Array) => void;
  readonly #onClose: () => void;
  #events: FrameSocketEvents | undefined;
  readonly #early: Uint8Array[] = [];
  unsentBytes = 0;
  receivedBytes = 0;
  closed: CloseReason | undefined;
  isPaused = false;
  pings = 0;

  constructor(carry: (frame: Uint8Array) => void, onClose: () => void = () => {}) {
    this.#carry = carry;
    this.#onClose = onClose;
  }

  attach(events: FrameSocketEvents): void {
    this.#events = events;
    for (const frame of this.#early.splice(0)) events.onFrame(frame);
    const { closed } = this;
    if (closed !== undefined) queueMicrotask(() => events.onClose(closed));
  }

  send(frame: Uint8Array): void {
    if (this.closed !== undefined) return;
    this.unsentBytes += frame.length;
    setImmediate(() => {
      this.unsentBytes -= frame.length;
      this.#events?.onDrain();
    });
    this.#carry(frame);
  }

  receive(frame: Uint8Array): void {
    if (this.closed !== undefined) return;
    this.receivedBytes += frame.length;
    if (this.#events === undefined) this.#early.push(frame);
    else this.#events.onFrame(frame);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  ping(): void {
    this.pings += 1;
  }

  close(reason: CloseReason): void {
    if (this.closed !== undefined) return;
    this.closed = reason;
    this.#onClose();
    setImmediate(() => this.#events?.onClose(reason));
  }
}

/** A rendezvous in memory that treats frames badly: it routes by stream, and forgets what has no leg. */
export class MemoryRoad {
  readonly #chance: Random;
  readonly #faults: RoadFaults;
  readonly #orchestrators = new Map<string, MemoryFrameSocket>();
  readonly #legs = new Set<MemoryFrameSocket>();
  #executor: MemoryFrameSocket | undefined;
  #frames = 0;
  /** The orchestrator has heard of its peer: before that it does not carry on over another leg. */
  #isKnown = false;
  readonly happened = { drop: 0, repeat: 0, delay: 0, cut: 0 };

  constructor(chance: Random, faults: RoadFaults) {
    this.#chance = chance;
    this.#faults = faults;
  }

  /** Legs of orchestrators that are open. */
  get legs(): number {
    return this.#legs.size;
  }

  dialOrchestrator(): MemoryFrameSocket {
    const socket: MemoryFrameSocket = new MemoryFrameSocket(
      (frame) => {
        const { streamId } = decodeFrame(frame) as { streamId: string };
        this.#orchestrators.set(streamId, socket);
        this.#pass(frame, () => this.#executor);
      },
      () => this.#legs.delete(socket),
    );
    this.#legs.add(socket);
    return socket;
  }

  dialExecutor(): MemoryFrameSocket {
    this.#executor = new MemoryFrameSocket((frame) => {
      const { streamId } = decodeFrame(frame) as { streamId: string };
      this.#pass(frame, () => this.#orchestrators.get(streamId));
    });
    return this.#executor;
  }

  cutExecutor(): void {
    this.happened.cut += 1;
    this.#executor?.close({ kind: 'lost', message: 'cut by the test' });
  }

  cutOrchestrators(): void {
    this.happened.cut += 1;
    for (const leg of this.#legs) leg.close({ kind: 'lost', message: 'cut by the test' });
  }

  /** The leg is looked up when the frame arrives there: on a new one it may still be expected. */
  #pass(frame: Uint8Array, to: () => MemoryFrameSocket | undefined): void {
    const leg = to();
    const arrive = (): void => {
      leg?.receive(frame);
      this.#isKnown ||= leg !== this.#executor;
    };
    this.#frames += 1;
    const number = this.#frames > this.#faults.until ? 1000 : this.#chance.below(1000);
    const { drop, repeat, delay, cut } = this.#faults;
    if (number < drop) this.happened.drop += 1;
    else if (number < drop + repeat) {
      this.happened.repeat += 1;
      setImmediate(arrive);
      this.#later(1 + this.#chance.below(4), arrive);
    } else if (number < drop + repeat + delay) {
      this.happened.delay += 1;
      this.#later(1 + this.#chance.below(6), arrive);
    } else {
      setImmediate(arrive);
      if (number < drop + repeat + delay + cut && this.#isKnown)
        if (this.#chance.below(2) === 0) this.cutExecutor();
        else this.cutOrchestrators();
    }
  }

  #later(turns: number, action: () => void): void {
    if (turns === 0) action();
    else setImmediate(() => this.#later(turns - 1, action));
  }
}
