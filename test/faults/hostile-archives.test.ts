import { describe, expect, test } from 'vitest';

import { TreeUnpacker } from '../../src/disk/unpack.ts';
import { errorCodes } from '../../src/protocol/errors.ts';
import { RawClient, Refusal } from '../support/faults-client.ts';
import { startExecutor } from '../support/faults-executor.ts';
import { residentMiB, within } from '../support/faults-proc.ts';
import { Chance } from '../support/faults-random.ts';
import { Arena } from '../support/transfer-arena.ts';
import { hostileArchive } from '../support/transfer-hostile-tar.ts';
import { nothingOpen, sha256 } from '../support/transfer-view.ts';

/** EXEC_SERVER_FAULTS_SEED makes other archives; EXEC_SERVER_FAULTS_ONLY makes one of them alone. */
const SEED = Number(process.env['EXEC_SERVER_FAULTS_SEED'] ?? 20_261_120);
const ONLY = process.env['EXEC_SERVER_FAULTS_ONLY'];
const ARCHIVES = 5_000;
const ARCHIVES_OVER_THE_WIRE = 400;
const ANSWER_MS = 10_000;
const MEMORY_MIB = 250;
const documented: readonly number[] = Object.values(errorCodes);

/** An archive in pieces of chance. */
function* pieces(archive: Buffer, chance: Chance): Generator<Buffer> {
  const most = chance.pick([100, 512, 1000, 65_536]);
  for (let at = 0; at < archive.length;) {
    const length = 1 + chance.below(most);
    yield archive.subarray(at, at + length);
    at += length;
  }
}

/** Throws, with all that is needed to do it again, where the archive got further than its directory. */
async function guarded(number: number, arena: Arena, work: () => Promise<string>): Promise<string> {
  const fail = (problem: string, cause?: unknown): Error =>
    new Error(`seed ${SEED}, archive ${number}: ${problem}`, { cause });
  const outcome = await work().catch((error: unknown) => {
    throw fail(String(error), error);
  });
  const problems = arena.problems();
  if (problems.length > 0) throw fail(problems.join('\n'));
  return outcome;
}

/** Unpacks it, or gives it up in the midst. Answers what came of it. */
async function unpack(root: string, archive: Buffer, chance: Chance): Promise<string> {
  const unpacker = await TreeUnpacker.open(Buffer.from(root));
  const givenUp = chance.below(8) === 0 ? chance.below(archive.length + 1) : Infinity;
  let written = 0;
  try {
    for (const piece of pieces(archive, chance)) {
      if (written >= givenUp) return 'given up';
      await within(ANSWER_MS, 'a write', unpacker.write(piece));
      written += piece.length;
    }
    if (givenUp !== Infinity) return 'given up';
    await within(ANSWER_MS, 'the end', unpacker.finish());
    return 'unpacked';
  } catch (error) {
    if (String(error).includes('not within')) throw error;
    return 'refused';
  } finally {
    await within(ANSWER_MS, 'the giving up', unpacker.dispose());
  }
}

/** The same through an executor. */
async function extract(client: RawClient, root: string, archive: Buffer, chance: Chance): Promise<string> {
  const streamId = 'hostile';
  await client.request('fs/extract', { streamId, path: root });
  const refusal = (error: unknown): string => {
    if (!(error instanceof Refusal)) throw error;
    if (!documented.includes(error.code)) throw new Error(`the code ${error.code} is not documented`);
    if (error.message.includes('its log has the cause')) throw new Error('the executor itself has failed');
    return 'refused';
  };
  const writes: Promise<unknown>[] = [];
  let offset = 0;
  for (const piece of pieces(archive, chance)) {
    writes.push(
      client.request('stream/write', { streamId, offset, chunk: piece.toString('base64') }).catch(refusal),
    );
    offset += piece.length;
  }
  const end =
    chance.below(8) === 0
      ? client.request('stream/cancel', { streamId }).then(() => 'given up')
      : client
          .request('stream/finish', { streamId, bytes: archive.length, sha256: sha256(archive) })
          .then(() => 'unpacked', refusal);
  await Promise.all(writes);
  return end;
}

function numbers(count: number): number[] {
  return ONLY === undefined ? Array.from({ length: count }, (_, number) => number) : [Number(ONLY)];
}

describe(`hostile archives (seed ${SEED})`, () => {
  test(`change nothing outside of their directory, all ${ARCHIVES}`, async () => {
    using arena = new Arena();
    const seen: Record<string, number> = {};
    for (const number of numbers(ARCHIVES)) {
      const chance = new Chance(SEED, number);
      arena.reset();
      const archive = hostileArchive(chance);
      const outcome = await guarded(number, arena, async () => unpack(arena.root, archive, chance));
      seen[outcome] = (seen[outcome] ?? 0) + 1;
      if (number % 500 === 0) await nothingOpen(process.pid, arena.folder);
    }
    await nothingOpen(process.pid, arena.folder);
    if (ONLY === undefined) {
      expect(seen).toEqual({
        unpacked: expect.any(Number) as number,
        refused: expect.any(Number) as number,
        'given up': expect.any(Number) as number,
      });
      expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(ARCHIVES / 20);
    }
  });

  test(`get an answer from an executor, which stays whole, all ${ARCHIVES_OVER_THE_WIRE}`, async () => {
    using arena = new Arena();
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    for (const number of numbers(ARCHIVES_OVER_THE_WIRE)) {
      const chance = new Chance(SEED, ARCHIVES + number);
      arena.reset();
      const archive = hostileArchive(chance);
      await guarded(ARCHIVES + number, arena, async () => extract(client, arena.root, archive, chance));
      if (number % 100 === 0) await nothingOpen(executor.pid, arena.folder);
    }
    await nothingOpen(executor.pid, arena.folder);
    expect(residentMiB(executor.pid).peak, 'MiB of resident memory').toBeLessThan(MEMORY_MIB);
    expect(executor.stderr).toBe('');
    expect(await client.request('environment/status', {})).toEqual({ status: 'ready' });
  });
});
