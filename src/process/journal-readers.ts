/** Looks without any progress after which a reader has stopped. More than one, as a machine that was suspended is late for the first. */
const looks = 2;

/** Somebody who takes the events of a journal one after the other. */
export interface JournalReader extends Disposable {
  /** It has everything up to this event now. */
  moved(cursor: number): void;
}

interface Entry {
  /** The newest event that it has. */
  cursor: number;
  /** Whether the program may be held back for it. */
  readonly mayHold: () => boolean;
  /** Looks since it has moved. */
  idle: number;
}

/** Who takes the events of one journal, and how far they are. */
export class JournalReaders {
  readonly #entries = new Set<Entry>();
  readonly #onChange: () => void;
  #newestTaken = 0;

  /** `onChange`: somebody has moved, or has gone. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** `mayHold`: asked anew each time. */
  add(cursor: number, mayHold: () => boolean): JournalReader {
    const entry: Entry = { cursor, mayHold, idle: 0 };
    this.#entries.add(entry);
    return {
      moved: (to) => {
        if (to === entry.cursor) return;
        entry.cursor = to;
        entry.idle = 0;
        this.took(to);
        this.#onChange();
      },
      [Symbol.dispose]: () => {
        this.#entries.delete(entry);
        this.#onChange();
      },
    };
  }

  /** Somebody has had everything up to this event. */
  took(seq: number): void {
    this.#newestTaken = Math.max(this.#newestTaken, seq);
  }

  get newestTaken(): number {
    return this.#newestTaken;
  }

  /** Events behind this one are still to be taken by somebody for whom the program is held back: the slowest who has not stopped. */
  get neededAfter(): number {
    let lowest = Infinity;
    for (const { cursor, idle, mayHold } of this.#entries) {
      if (cursor < lowest && idle < looks && mayHold()) lowest = cursor;
    }
    return lowest;
  }

  /** Takes a look at those that have not had everything up to `newest`. Twice without progress, and they have stopped. */
  look(newest: number): void {
    for (const entry of this.#entries) if (entry.cursor < newest) entry.idle += 1;
  }

  clear(): void {
    this.#entries.clear();
  }
}

/** How often to look, so that a reader has stopped after `holdMs` without progress. */
export function lookMs(holdMs: number): number {
  return Math.ceil(holdMs / looks);
}
