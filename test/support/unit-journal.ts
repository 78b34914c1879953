import type { JournalEvent } from '../../src/process/journal-event.ts';
import { Journal, JournalBudget, type Pull } from '../../src/process/journal.ts';
import { SpillBudget } from '../../src/process/spill-budget.ts';
import { limits as defaults } from '../../src/protocol/limits.ts';
import { type TemporaryFolder, temporaryFolder } from './unit-folder.ts';
import { expectSoon } from './unit-wait.ts';

export interface JournalRoom extends AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly budget: JournalBudget;
  journal(): Journal;
}

/** A folder and a budget for journals, which are disposed with it. */
export async function journalRoom(
  limits: { bytesPerProcess?: number; bytesTotal?: number; directory?: string; journalHoldMs?: number } = {},
): Promise<JournalRoom> {
  const folder = await temporaryFolder();
  const journals: Journal[] = [];
  const spill = new SpillBudget({
    directory: limits.directory ?? folder.path,
    bytesPerProcess: limits.bytesPerProcess ?? 64 * 1024 * 1024,
    bytesTotal: limits.bytesTotal ?? 256 * 1024 * 1024,
  });
  const budget = new JournalBudget(spill, {
    ...defaults,
    journalHoldMs: limits.journalHoldMs ?? defaults.journalHoldMs,
  });
  return {
    folder,
    budget,
    journal: () => {
      const journal = new Journal(budget);
      journals.push(journal);
      return journal;
    },
    [Symbol.asyncDispose]: async () => {
      for (const journal of journals) journal.dispose();
      await folder[Symbol.asyncDispose]();
    },
  };
}

export interface Everything {
  readonly events: JournalEvent[];
  readonly gaps: NonNullable<Pull['gap']>[];
}

/** Pulls until nothing is left, and checks that numbers follow each other but for the gaps. */
export async function pullAll(journal: Journal, afterSeq: number, maxBytes: number): Promise<Everything> {
  const events: JournalEvent[] = [];
  const gaps: NonNullable<Pull['gap']>[] = [];
  let cursor = afterSeq;
  while (cursor < journal.nextSeq - 1) {
    const pull = await expectSoon(`events after ${cursor}`, journal.pull(cursor, maxBytes));
    if (pull.gap !== undefined) {
      if (pull.gap.fromSeq !== cursor + 1)
        throw new Error(`A gap after ${cursor} begins at ${pull.gap.fromSeq}.`);
      gaps.push(pull.gap);
      cursor = pull.gap.toSeq;
    } else if (pull.events.length === 0) {
      throw new Error(`Nothing comes after ${cursor}, although ${journal.nextSeq - 1} exists.`);
    }
    for (const event of pull.events) {
      if (event.seq !== cursor + 1) throw new Error(`After ${cursor} comes ${event.seq}.`);
      cursor = event.seq;
      events.push(event);
    }
  }
  return { events, gaps };
}

/** Resolves when the journal's writes to disk have caught up, so far as they can. */
export async function settled(journal: Journal, condition: () => boolean): Promise<void> {
  while (!condition()) {
    const told = Promise.withResolvers<void>();
    using _subscription = journal.subscribe(() => told.resolve());
    await expectSoon('the disk', told.promise);
  }
}

/** Bytes that tell their event: a mix-up of two events is seen. */
export function content(seq: number, length: number): Buffer {
  const bytes = Buffer.alloc(length, seq & 0xff);
  if (length >= 4) bytes.writeUInt32LE(seq, 0);
  return bytes;
}
