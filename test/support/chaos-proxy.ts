import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import type { Chance } from './faults-random.ts';

/** `up`: from the client to the executor. */
export type Direction = 'up' | 'down';

/** What happens to a connection, at one byte of it. */
export type Fault =
  /** This direction waits. */
  | { readonly kind: 'delay'; readonly milliseconds: number }
  /** Both directions wait. */
  | { readonly kind: 'stall'; readonly milliseconds: number }
  /** So many bytes go on one by one. */
  | { readonly kind: 'split'; readonly bytes: number }
  /** Both sides see the end, wherever in a frame that is. */
  | { readonly kind: 'drop' }
  | { readonly kind: 'reset' }
  /** Nothing passes any more, and neither side is told. */
  | { readonly kind: 'halfOpen' }
  /** The client sees the end; the executor is told nothing. */
  | { readonly kind: 'abandon' };

export interface PlannedFault {
  readonly direction: Direction;
  /** Bytes of this direction, over all connections, after which it happens. */
  readonly after: number;
  readonly fault: Fault;
}

export interface ChaosProxy extends AsyncDisposable {
  readonly url: string;
  /** Those that have happened. */
  readonly happened: readonly PlannedFault[];
  /** Connections that clients have made. */
  readonly connections: number;
  /** Something happens to each connection that is there now. */
  strike(fault: Fault): void;
  /** Shut: a new connection is ended at once. */
  shut(shut: boolean): void;
}

/** Milliseconds that an executor's half of a dead connection stays open. */
const lingerMs = 3000;

/** Faults at random places of the first bytes of each direction. The same seed gives the same ones. */
export function planFaults(
  chance: Chance,
  count: number,
  bytes: Readonly<Record<Direction, number>>,
): PlannedFault[] {
  const kinds = ['delay', 'stall', 'split', 'drop', 'reset', 'halfOpen', 'abandon'] as const;
  const make = (): Fault => {
    const kind = chance.pick(kinds);
    if (kind === 'delay' || kind === 'stall') return { kind, milliseconds: 1 + chance.below(150) };
    return kind === 'split' ? { kind, bytes: 50 + chance.below(400) } : { kind };
  };
  return Array.from({ length: count }, () => {
    const direction = chance.pick(['up', 'down'] as const);
    return { direction, after: chance.below(bytes[direction]), fault: make() };
  });
}

/** Stands between clients and an executor, and lets faults happen to what passes. `mild`: everything arrives, late and in pieces. */
export async function startChaosProxy(
  executorUrl: string,
  options: { readonly plan?: readonly PlannedFault[]; readonly mild?: Chance } = {},
): Promise<ChaosProxy> {
  const { hostname, port } = new URL(executorUrl);
  const passed: Record<Direction, number> = { up: 0, down: 0 };
  const waiting = options.plan?.toSorted((one, other) => one.after - other.after) ?? [];
  const happened: PlannedFault[] = [];
  const pairs = new Set<Pair>();
  let connections = 0;
  let isShut = false;

  const due = (direction: Direction, until: number): PlannedFault | undefined => {
    const index = waiting.findIndex((one) => one.direction === direction && one.after < until);
    return index < 0 ? undefined : waiting.splice(index, 1)[0];
  };

  const server = createServer({ noDelay: true }, (near) => {
    connections += 1;
    if (isShut) return void near.destroy();
    const far = connect({ port: Number(port), host: hostname, noDelay: true });
    const pair = new Pair(near, far);
    pairs.add(pair);
    near.once('close', () => pairs.delete(pair));
    const pass = async (direction: Direction): Promise<void> => {
      const [from, to] = direction === 'up' ? [near, far] : [far, near];
      for await (const chunk of from as AsyncIterable<Buffer>) {
        let rest = chunk;
        for (let planned = due(direction, passed[direction] + rest.length); planned !== undefined;) {
          const before = Math.max(0, planned.after - passed[direction]);
          await pair.forward(to, rest.subarray(0, before));
          passed[direction] += before;
          rest = rest.subarray(before);
          happened.push(planned);
          await pair.suffer(planned.fault, direction);
          planned = due(direction, passed[direction] + rest.length);
        }
        if (options.mild !== undefined) await pair.crumble(to, rest, options.mild);
        else await pair.forward(to, rest);
        passed[direction] += rest.length;
      }
      pair.ended(to);
    };
    for (const direction of ['up', 'down'] as const) pass(direction).catch(() => pair.broken());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${portOf(server)}`,
    happened,
    get connections() {
      return connections;
    },
    strike: (fault) => {
      for (const pair of pairs) void pair.suffer(fault, 'up');
    },
    shut: (shut) => void (isShut = shut),
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const pair of pairs) pair.destroy();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** One connection: both of its halves. */
class Pair {
  readonly #near: Socket;
  readonly #far: Socket;
  #gate: Promise<unknown> = Promise.resolve();
  #swallows = false;
  #splitBytes = 0;

  constructor(near: Socket, far: Socket) {
    this.#near = near;
    this.#far = far;
    for (const socket of [near, far]) socket.on('error', () => {});
  }

  async forward(to: Socket, bytes: Buffer): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      await this.#gate;
      if (this.#swallows || to.destroyed) return;
      const piece = this.#splitBytes > 0 ? 1 : rest.length;
      this.#splitBytes -= Math.min(this.#splitBytes, piece);
      if (!to.write(rest.subarray(0, piece))) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      rest = rest.subarray(piece);
      // Time for the other side to take it by itself.
      if (piece === 1) await new Promise<void>((resolve) => void setImmediate(resolve));
    }
  }

  /** In pieces, the first of them single bytes, with short waits. */
  async crumble(to: Socket, bytes: Buffer, chance: Chance): Promise<void> {
    this.#splitBytes = Math.min(bytes.length, chance.below(12));
    const cut = chance.below(bytes.length + 1);
    await this.forward(to, bytes.subarray(0, cut));
    if (chance.below(8) === 0) await pause(chance.below(3));
    await this.forward(to, bytes.subarray(cut));
  }

  async suffer(fault: Fault, direction: Direction): Promise<void> {
    switch (fault.kind) {
      case 'delay':
        return pause(fault.milliseconds);
      case 'stall':
        this.#gate = pause(fault.milliseconds);
        return;
      case 'split':
        this.#splitBytes = fault.bytes;
        return;
      case 'drop':
        // What was forwarded still arrives, and then the end.
        (direction === 'up' ? this.#far : this.#near).end();
        return this.destroy();
      case 'reset':
        this.#near.resetAndDestroy();
        this.#far.resetAndDestroy();
        return;
      case 'halfOpen':
        this.#swallows = true;
        return;
      case 'abandon':
        this.#swallows = true;
        this.#near.destroy();
    }
  }

  /** One side has ended. The other one hears of it, unless this connection is dead for it. */
  ended(to: Socket): void {
    if (!this.#swallows) to.end();
    else this.#linger();
  }

  broken(): void {
    if (this.#swallows) return this.#linger();
    this.destroy();
  }

  destroy(): void {
    this.#near.destroy();
    this.#far.destroy();
  }

  #linger(): void {
    const timer = setTimeout(() => this.destroy(), lingerMs);
    timer.unref();
    this.#far.once('close', () => {
      clearTimeout(timer);
      this.#near.destroy();
    });
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
