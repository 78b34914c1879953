import { describe, expect, test } from 'vitest';
import type { Gap } from '../../src/protocol/process.ts';
import { MiB, generator, pseudoRandomBytes, sha256 } from '../support/faults-bytes.ts';
import { RawClient } from '../support/faults-client.ts';
import { startExecutor } from '../support/faults-executor.ts';
import { isGone, until } from '../support/faults-proc.ts';
import type { ProcessLog } from '../support/faults-process-log.ts';

const OUTPUT_BYTES = 32 * MiB;
const FLOOD_MS = 60_000;
const expected = pseudoRandomBytes(OUTPUT_BYTES);

const cases = [
  // A program does not wait long for a reader that makes no progress.
  {
    where: 'a disk limit of 4 MiB',
    flags: ['--journal-disk-bytes', '4194304', '--limit', 'journalHoldMs=200'],
  },
  // Not even root can make a file there.
  { where: 'a journal folder that cannot be written', flags: ['--journal-dir', '/proc'] },
];

/** Lets a process write everything and end while the client does not read. */
async function floodBehindTheBack(client: RawClient): Promise<ProcessLog> {
  const argv = ['/bin/sh', '-c', 'read go; exec "$@"', 'sh', ...generator(OUTPUT_BYTES)];
  const log = await client.start({ processId: 'flood', argv, pipeStdin: true });
  const pid = await client.pidOf('flood');
  client.pause();
  const written = client.request('process/write', { processId: 'flood', chunk: btoa('go\n') });
  written.catch(() => {});
  await until(
    FLOOD_MS,
    () => isGone(pid),
    () => 'the process has not ended',
  );
  return log;
}

/** Reads from the journal until the end, as a client does that trusts nothing it was pushed. */
async function readAll(client: RawClient): Promise<{ gaps: Gap[]; content: Buffer; droppedBytes: number }> {
  const gaps: Gap[] = [];
  const chunks: Buffer[] = [];
  for (let afterSeq = 0; ;) {
    const answer = await client.request('process/read', { processId: 'flood', afterSeq, maxBytes: MiB });
    if (answer.gap !== undefined) {
      expect(answer.gap.fromSeq).toBe(afterSeq + 1);
      gaps.push(answer.gap);
      afterSeq = answer.gap.toSeq;
    }
    for (const { seq, chunk } of answer.chunks) {
      expect(seq).toBe(afterSeq + 1);
      chunks.push(Buffer.from(chunk, 'base64'));
      afterSeq = seq;
    }
    if (answer.closed && answer.chunks.length === 0 && answer.gap === undefined) {
      return { gaps, content: Buffer.concat(chunks), droppedBytes: answer.droppedBytes ?? -1 };
    }
    afterSeq = answer.nextSeq - 1;
  }
}

describe.each(cases)('with $where', ({ flags }) => {
  test('a reader that is too slow is told which events are lost, and gets the others whole', async () => {
    await using executor = await startExecutor(...flags);
    await using client = await RawClient.connect(executor.url);
    const log = await floodBehindTheBack(client);
    client.resume();
    // The log itself fails where an event is missing that no gap names.
    const closed = await log.closed(FLOOD_MS);
    expect(log.gaps).toHaveLength(1);
    const [gap] = log.gaps;
    const content = log.content();
    const at = gap?.at ?? 0;
    const tailBytes = content.length - at;
    expect(sha256(content.subarray(0, at)), 'what came before the gap').toBe(
      sha256(expected.subarray(0, at)),
    );
    expect(sha256(content.subarray(at)), 'what came behind the gap').toBe(
      sha256(expected.subarray(OUTPUT_BYTES - tailBytes)),
    );
    expect(gap?.bytes, 'bytes of the gap').toBe(OUTPUT_BYTES - content.length);
    expect(closed.bytes).toEqual({ stdout: OUTPUT_BYTES, stderr: 0 });
    expect(log.exit).toMatchObject({ exitCode: 0, endReason: 'exited' });
  });

  test('the dropped bytes that the end tells are those that no reader can get any more', async () => {
    await using executor = await startExecutor(...flags);
    await using client = await RawClient.connect(executor.url);
    const log = await floodBehindTheBack(client);
    client.resume();
    const closed = await log.closed(FLOOD_MS);
    const { gaps, content, droppedBytes } = await readAll(client);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]?.fromSeq).toBe(1);
    expect(gaps[0]?.bytes).toBe(OUTPUT_BYTES - content.length);
    expect(sha256(content)).toBe(sha256(expected.subarray(OUTPUT_BYTES - content.length)));
    expect(droppedBytes).toBe(OUTPUT_BYTES - content.length);
    expect(closed.droppedBytes).toBe(OUTPUT_BYTES - content.length);
    expect(log.gaps[0]?.toSeq, 'both ways of reading name the same end of the gap').toBe(gaps[0]?.toSeq);
  });

  test('the executor goes on', async () => {
    await using executor = await startExecutor(...flags);
    await using client = await RawClient.connect(executor.url);
    const log = await floodBehindTheBack(client);
    client.resume();
    await log.closed(FLOOD_MS);
    const next = await client.start({ processId: 'next', argv: ['/bin/echo', 'next'] });
    await next.closed();
    expect(next.content().toString()).toBe('next\n');
    expect(executor.running).toBe(true);
  });
});
