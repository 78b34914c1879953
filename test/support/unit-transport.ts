import type { CloseReason, Transport, TransportEvents } from '../../src/rpc/transport.ts';
import { expectSoon } from './unit-wait.ts';

type Entry = { readonly message: string } | { readonly garbage: string } | { readonly close: CloseReason };

/** Everything that a transport has told, in order. */
export class TransportRecord {
  readonly entries: Entry[] = [];
  drains = 0;
  #changed = Promise.withResolvers<void>();

  /** `onMessage` runs inside the event, as a handler would. */
  constructor(transport: Transport, onMessage: (text: string) => void = () => {}) {
    const events: TransportEvents = {
      onMessage: (message) => {
        this.#add({ message });
        onMessage(message);
      },
      onGarbage: (garbage) => this.#add({ garbage }),
      onDrain: () => {
        this.drains += 1;
        this.#wake();
      },
      onClose: (close) => this.#add({ close }),
    };
    transport.attach(events);
  }

  get messages(): string[] {
    return this.entries.flatMap((entry) => ('message' in entry ? [entry.message] : []));
  }

  get garbage(): string[] {
    return this.entries.flatMap((entry) => ('garbage' in entry ? [entry.garbage] : []));
  }

  get closes(): CloseReason[] {
    return this.entries.flatMap((entry) => ('close' in entry ? [entry.close] : []));
  }

  /** Resolves when the condition holds after an event. */
  async until(what: string, condition: (record: this) => boolean): Promise<void> {
    while (!condition(this)) await expectSoon(what, this.#changed.promise);
  }

  async closed(): Promise<CloseReason> {
    await this.until('the close of the transport', () => this.closes.length > 0);
    return this.closes[0] ?? { kind: 'lost', message: '' };
  }

  #add(entry: Entry): void {
    this.entries.push(entry);
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
