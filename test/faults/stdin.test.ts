import { describe, expect, test } from 'vitest';
import { errorCodes } from '../../src/protocol/errors.ts';
import { limits } from '../../src/protocol/limits.ts';
import type { WireResult } from '../../src/protocol/methods.ts';
import { KiB, MiB, pseudoRandomBytes, sha256 } from '../support/faults-bytes.ts';
import { RawClient, Refusal } from '../support/faults-client.ts';
import { startExecutor } from '../support/faults-executor.ts';
import { residentMiB, within } from '../support/faults-proc.ts';

const WRITE_BYTES = 64 * KiB;
const PROMPT_MS = 10_000;
const SETTLED_MS = 30_000;

type Outcome = WireResult<'process/write'> | Refusal;

/** Sends the bytes in writes that do not wait for each other. */
function writeAll(client: RawClient, processId: string, bytes: Buffer): Promise<Outcome>[] {
  const writes: Promise<Outcome>[] = [];
  for (let start = 0; start < bytes.length; start += WRITE_BYTES) {
    const chunk = bytes.toString('base64', start, start + WRITE_BYTES);
    const write = client.post('process/write', { processId, chunk, writeId: String(start) });
    writes.push(
      write.catch((error: unknown) => {
        if (error instanceof Refusal) return error;
        throw error;
      }),
    );
  }
  return writes;
}

describe.each([true, false])('16 MiB of input (pipelined: %s)', (pipelined) => {
  test('reach the program whole and in order', async () => {
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    const input = pseudoRandomBytes(16 * MiB);
    const log = await client.start({ processId: 'sum', argv: ['sha256sum'], pipeStdin: true });
    if (pipelined) {
      const outcomes = await within(SETTLED_MS, 'all writes', Promise.all(writeAll(client, 'sum', input)));
      expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome)))).toEqual(
        new Set(['{"status":"accepted"}']),
      );
    } else {
      for (let start = 0; start < input.length; start += MiB) {
        const chunk = input.toString('base64', start, start + MiB);
        const answer = await client.request('process/write', { processId: 'sum', chunk });
        expect(answer).toEqual({ status: 'accepted' });
      }
    }
    const end = await client.request('process/closeStdin', { processId: 'sum' });
    expect(end).toEqual({ status: 'accepted' });
    await log.closed();
    expect(log.content().toString()).toBe(`${sha256(input)}  -\n`);
  });
});

describe('a program that never reads its input', () => {
  /** More than what may wait, what the queue towards the child takes, and what the kernel takes. */
  const tooMuch = Buffer.alloc(limits.stdinWaitingBytes + limits.stdinQueueBytes + 3 * MiB);

  test('makes writes wait and then be refused, while everything else is answered promptly', async () => {
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    const deaf = await client.start({ processId: 'deaf', argv: ['/bin/sleep', '1000'], pipeStdin: true });
    let settled = 0;
    const writes = writeAll(client, 'deaf', tooMuch);
    for (const write of writes) void write.then(() => (settled += 1));
    // Answered in turn: everything before has been taken or refused.
    const last = await within(SETTLED_MS, 'the answer to the last write', writes.at(-1) ?? Promise.reject());
    expect(last).toMatchObject({ name: 'Refusal', code: errorCodes.overloaded });

    const status = await client.request('environment/status', {}, PROMPT_MS);
    expect(status).toEqual({ status: 'ready' });
    const echo = await client.start({ processId: 'echo', argv: ['/bin/echo', 'prompt'] });
    await echo.closed(PROMPT_MS);
    expect(echo.content().toString()).toBe('prompt\n');
    const sleeper = { argv: ['/bin/sleep', '1000'], timeoutMs: 100, stopGraceMs: 1_000 };
    const timed = await client.start({ processId: 'timed', ...sleeper });
    expect(await timed.ended(PROMPT_MS)).toMatchObject({ endReason: 'timeout', exitCode: 143 });
    const other = await client.start({ processId: 'other', argv: ['/bin/sleep', '1000'] });
    const ended = await client.request('process/terminate', { processId: 'other' }, PROMPT_MS);
    expect(ended).toEqual({ running: true });
    await other.closed(PROMPT_MS);

    // Still none of those that wait was answered.
    expect(writes.length - settled).toBeGreaterThanOrEqual(
      (limits.stdinWaitingBytes - 2 * MiB) / WRITE_BYTES,
    );
    expect(residentMiB(executor.pid).now, 'MiB of resident memory').toBeLessThan(512);

    const terminated = await client.request('process/terminate', { processId: 'deaf' }, PROMPT_MS);
    expect(terminated).toEqual({ running: true });
    const outcomes = await within(SETTLED_MS, 'the answers to all writes', Promise.all(writes));
    await deaf.closed(PROMPT_MS);
    const kinds = outcomes.map((outcome) => {
      if (outcome instanceof Refusal) return outcome.code === errorCodes.overloaded ? 'refused' : 'failed';
      return outcome.discarded === true ? 'discarded' : outcome.status;
    });
    expect(new Set(kinds)).toEqual(new Set(['accepted', 'discarded', 'refused']));
    expect(kinds, 'refused ones are behind all others').toEqual(
      kinds.toSorted((left, right) => Number(left === 'refused') - Number(right === 'refused')),
    );
    const accepted = kinds.filter((kind) => kind === 'accepted').length * WRITE_BYTES;
    expect(accepted).toBeLessThanOrEqual(limits.stdinQueueBytes + MiB);
  });

  test('gets its waiting input when it reads at last', async () => {
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    const input = pseudoRandomBytes(8 * MiB);
    const argv = ['/bin/sh', '-c', 'trap "exec sha256sum" USR1; while :; do sleep 0.05; done'];
    const log = await client.start({ processId: 'late', argv, pipeStdin: true });
    const writes = writeAll(client, 'late', input);
    const end = client.post('process/closeStdin', { processId: 'late' });
    await client.request('environment/status', {}, PROMPT_MS);
    await client.request('process/signal', { processId: 'late', signal: 'USR1', scope: 'process' });
    await within(SETTLED_MS, 'the answers to all writes', Promise.all(writes));
    expect(await within(SETTLED_MS, 'the answer to closeStdin', end)).toEqual({ status: 'accepted' });
    await log.closed();
    expect(log.content().toString()).toBe(`${sha256(input)}  -\n`);
  });

  test('does not keep the executor from ending when the client is gone', async () => {
    await using executor = await startExecutor();
    const client = await RawClient.connect(executor.url);
    await client.start({ processId: 'deaf', argv: ['/bin/sleep', '1000'], pipeStdin: true });
    const writes = writeAll(client, 'deaf', Buffer.alloc(8 * MiB));
    await client.request('environment/status', {}, PROMPT_MS);
    await client[Symbol.asyncDispose]();
    await Promise.allSettled(writes);
    executor.kill('SIGTERM');
    expect(await within(SETTLED_MS, 'the end of the executor', executor.exited)).toEqual({
      code: 0,
      signal: null,
    });
  });
});
