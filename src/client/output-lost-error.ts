import type { Gap } from '../protocol/process.ts';

/** Output that cannot be had any more, with its exact place. Whatever came before it is whole, and so is what comes after. */
export class OutputLostError extends Error {
  override readonly name = 'OutputLostError';
  readonly gap: Gap;

  constructor(gap: Gap) {
    super(
      `Output of the process was dropped: events ${gap.fromSeq} to ${gap.toSeq}, about ${gap.bytes} bytes.`,
    );
    this.gap = gap;
  }
}
