/** What a spill is to the budget that it shares with others. */
export interface Spilled {
  /** Somebody has had everything. */
  readonly isRead: boolean;
  /** Somebody for whom a program would wait has not had everything. */
  readonly isNeeded: boolean;
  /** Drops the oldest part of it while the condition holds. */
  dropWhile(condition: () => boolean): void;
}

export interface SpillLimits {
  /** Where the files are made. They lose their name at once, so that a crash leaves nothing behind. */
  readonly directory: string;
  readonly bytesPerProcess: number;
  readonly bytesTotal: number;
}

/** The disk that the spills of an executor share. */
export class SpillBudget implements SpillLimits {
  readonly directory: string;
  readonly bytesPerProcess: number;
  readonly bytesTotal: number;
  /** Bytes that all spills hold, on disk or on their way to it. */
  usedBytes = 0;
  /** Of processes that have closed, in that order. */
  readonly #ended = new Set<Spilled>();

  constructor({ directory, bytesPerProcess, bytesTotal }: SpillLimits) {
    this.directory = directory;
    this.bytesPerProcess = bytesPerProcess;
    this.bytesTotal = bytesTotal;
  }

  /** Nothing more is written to it. */
  end(spill: Spilled): void {
    this.#ended.add(spill);
  }

  remove(spill: Spilled): void {
    this.#ended.delete(spill);
  }

  get isExceeded(): boolean {
    return this.usedBytes > this.bytesTotal;
  }

  /**
   * Makes room for a process that writes, by what processes have left that closed earlier: at first what somebody has read to its end, then
   * what nobody is reading.
   */
  reclaim(): void {
    if (!this.isExceeded) return;
    const ended = [...this.#ended].filter((spill) => !spill.isNeeded);
    for (const isRead of [true, false]) {
      for (const spill of ended) if (spill.isRead === isRead) spill.dropWhile(() => this.isExceeded);
    }
  }
}
