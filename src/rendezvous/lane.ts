/** What a stream has to send on a leg: messages in their order, within a bound. */
export class Lane {
  readonly #most: number;
  readonly #budget: Budget;
  readonly #onRoom: () => void;
  #messages: Message[] = [];
  #first = 0;
  #bytes = 0;
  #outlet: Outlet | undefined;

  /** `most`: bytes that wait; `budget`: shared with other lanes; `onRoom`: called when some have left. */
  constructor(most: number, budget: Budget, onRoom: () => void = () => {}) {
    this.#most = most;
    this.#budget = budget;
    this.#onRoom = onRoom;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Where it leaves: a leg, the next one, or none for now. */
  moveTo(outlet: Outlet | undefined): void {
    if (this.#outlet === outlet) return;
    this.#outlet?.leave(this);
    this.#outlet = outlet;
    if (this.#bytes > 0) outlet?.enter(this);
  }

  /** False where there is no room. A message that finds nothing before it is not held to the lane's own bound. */
  push(data: Buffer, binary: boolean): boolean {
    const outlet = this.#outlet;
    const isFirst = this.#bytes === 0;
    if (isFirst && outlet?.sendNow(data, binary) === true) return true;
    const cost = costOf(data);
    const isOver = !isFirst && this.#bytes + cost > this.#most;
    if (isOver || outlet?.isFull === true || this.#budget.bytes >= this.#budget.most) return false;
    this.#add({ data: compact(data), binary });
    return true;
  }

  /** In place of everything that waits. */
  replaceAll(data: Buffer, binary: boolean): void {
    this.clear();
    if (this.#outlet?.sendNow(data, binary) !== true) this.#add({ data, binary });
  }

  /** The next message, for the leg; undefined if there is none. */
  shift(): Message | undefined {
    const message = this.#messages[this.#first];
    if (message === undefined) return undefined;
    this.#first += 1;
    if (this.#first * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#first);
      this.#first = 0;
    }
    const cost = costOf(message.data);
    this.#bytes -= cost;
    this.#budget.bytes -= cost;
    return message;
  }

  /** The leg has taken some. */
  left(): void {
    this.#onRoom();
  }

  /** Forgets what waits. */
  clear(): void {
    this.#outlet?.leave(this);
    this.#budget.bytes -= this.#bytes;
    this.#messages = [];
    this.#first = 0;
    this.#bytes = 0;
  }

  #add(message: Message): void {
    const cost = costOf(message.data);
    const isFirst = this.#bytes === 0;
    this.#messages.push(message);
    this.#bytes += cost;
    this.#budget.bytes += cost;
    if (isFirst) this.#outlet?.enter(this);
    else this.#outlet?.added(cost);
  }
}

export interface Message {
  readonly data: Buffer;
  readonly binary: boolean;
}

/** Bytes that wait in all lanes of one tenant. */
export interface Budget {
  bytes: number;
  readonly most: number;
}

/** The side of a leg that lanes see. */
export interface Outlet {
  /** Whether all lanes together have as much as they may. */
  readonly isFull: boolean;
  /** Sends at once if nobody waits and the socket takes it. */
  sendNow(data: Buffer, binary: boolean): boolean;
  added(bytes: number): void;
  enter(lane: Lane): void;
  leave(lane: Lane): void;
}

/** With what a message costs beside its bytes, about. */
const costOf = (data: Buffer): number => data.length + 128;

/** A short message is often a view of a long buffer, which it would keep. */
function compact(data: Buffer): Buffer {
  return data.length * 2 < data.buffer.byteLength ? Buffer.from(data) : data;
}
