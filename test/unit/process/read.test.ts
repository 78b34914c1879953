import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type ReadRequest, readProcess } from '../../../src/process/read.ts';
import { limits } from '../../../src/protocol/limits.ts';
import type { WireResult } from '../../../src/protocol/methods.ts';
import { parseMessage } from '../../../src/rpc/json-text.ts';
import { type RunningProcess, runProcess } from '../../support/unit-process.ts';
import { expectSoon, turn } from '../../support/unit-wait.ts';

type Answer = WireResult<'process/read'>;

const MiB = 1024 * 1024;

function read(
  { process }: RunningProcess,
  request: Partial<ReadRequest> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<Answer> {
  const whole = { afterSeq: 0, maxBytes: undefined, waitMs: 0, ...request };
  return expectSoon('an answer to the read', readProcess(process, whole, signal));
}

const seqsOf = (answer: Answer): number[] => answer.chunks.map((chunk) => chunk.seq);
const bytesOf = (answer: Answer): Buffer =>
  Buffer.concat(answer.chunks.map((chunk) => Buffer.from(chunk.chunk, 'base64')));

/** A closed process with output events 1, 2, 3 of four bytes each, exited 4 and closed 5. */
async function gridProcess(): Promise<RunningProcess> {
  const running = await runProcess(['cat'], { pipeStdin: true });
  for (const [index, text] of ['one\n', 'two\n', 'six\n'].entries()) {
    await running.process.write(Buffer.from(text), undefined);
    await running.events(index + 1);
  }
  await running.process.closeInput();
  await running.closed();
  return running;
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  await turn();
  return Promise.race([promise.then(() => false), turn().then(() => true)]);
}

describe('readProcess: one past the last event that the answer covers', () => {
  it.each([
    [{}, [1, 2, 3], 6],
    [{ maxBytes: 0 }, [1], 2],
    [{ maxBytes: 4 }, [1], 2],
    [{ maxBytes: 5 }, [1], 2],
    [{ maxBytes: 8 }, [1, 2], 3],
    [{ maxBytes: 12 }, [1, 2, 3], 4],
    [{ maxBytes: 1000 }, [1, 2, 3], 4],
    [{ afterSeq: 1 }, [2, 3], 6],
    [{ afterSeq: 1, maxBytes: 4 }, [2], 3],
    [{ afterSeq: 3 }, [], 6],
    [{ afterSeq: 3, maxBytes: 9 }, [], 6],
    [{ afterSeq: 3, maxBytes: 0 }, [], 6],
    [{ afterSeq: 4, maxBytes: 9 }, [], 6],
    [{ afterSeq: 5 }, [], 6],
    [{ afterSeq: 1_000_000 }, [], 6],
    [{ afterSeq: Number.MAX_SAFE_INTEGER, maxBytes: 1, waitMs: 60_000 }, [], 6],
  ])('of a closed process: %j gives chunks %j and nextSeq %i', async (request, seqs, nextSeq) => {
    await using running = await gridProcess();
    const answer = await read(running, request);
    expect(seqsOf(answer)).toEqual(seqs);
    expect(answer).toMatchObject({ nextSeq, exited: true, exitCode: 0, closed: true, failure: null });
  });

  it('tells the end with its totals, and nothing is consumed', async () => {
    await using running = await gridProcess();
    const answer = await read(running, { waitMs: 60_000 });
    expect(answer).toEqual({
      chunks: [
        { seq: 1, stream: 'stdout', chunk: 'b25lCg==' },
        { seq: 2, stream: 'stdout', chunk: 'dHdvCg==' },
        { seq: 3, stream: 'stdout', chunk: 'c2l4Cg==' },
      ],
      nextSeq: 6,
      exited: true,
      exitCode: 0,
      closed: true,
      failure: null,
      sandboxDenied: false,
      signal: null,
      endReason: 'exited',
      bytes: { stdout: 12, stderr: 0 },
      droppedBytes: 0,
    });
    expect(await read(running)).toEqual(answer);
  });

  it('of a running process: says so, with the newest number', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    expect(await read(running)).toEqual({
      chunks: [],
      nextSeq: 1,
      exited: false,
      exitCode: null,
      closed: false,
      failure: null,
      sandboxDenied: false,
    });
    await running.process.write(Buffer.from('x'), undefined);
    await running.events(1);
    expect(await read(running)).toMatchObject({ nextSeq: 2, exited: false, closed: false });
  });
});

describe('readProcess: waiting', () => {
  it('ends with the first output', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    const answer = read(running, { waitMs: 60_000 });
    await running.process.write(Buffer.from('now'), undefined);
    expect(bytesOf(await answer).toString()).toBe('now');
  });

  it('does not end with output that the cursor is beyond', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    const answer = read(running, { afterSeq: 2, waitMs: 60_000 });
    for (const [index, text] of ['a', 'b', 'c'].entries()) {
      expect(await isPending(answer)).toBe(true);
      await running.process.write(Buffer.from(text), undefined);
      await running.events(index + 1);
    }
    expect(seqsOf(await answer)).toEqual([3]);
  });

  it('ends with the exit while a descendant holds a stream, and the next one with the close', async () => {
    await using running = await runProcess(['/bin/sh', '-c', 'sleep 1000 & read line; exit 3'], {
      pipeStdin: true,
    });
    const first = read(running, { waitMs: 60_000 });
    await running.process.write(Buffer.from('\n'), undefined);
    expect(await first).toMatchObject({ chunks: [], nextSeq: 2, exited: true, exitCode: 3, closed: false });
    const second = read(running, { afterSeq: 1, waitMs: 60_000 });
    expect(await isPending(second)).toBe(true);
    await running.process.terminate('terminated', 0);
    expect(await second).toMatchObject({ chunks: [], nextSeq: 3, exited: true, exitCode: 3, closed: true });
  });

  it('ends with the close when the program exits', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    let afterSeq = 0;
    let answer = read(running, { waitMs: 60_000 });
    await running.process.closeInput();
    while (!(await answer).closed) {
      afterSeq = (await answer).nextSeq - 1;
      answer = read(running, { afterSeq, waitMs: 60_000 });
    }
    expect(await answer).toMatchObject({ nextSeq: 3, exited: true, exitCode: 0 });
  });

  it('ends with what there is when the time is over', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    const start = performance.now();
    const answer = await read(running, { waitMs: 100 });
    // A timer of Node may be a millisecond early.
    expect(performance.now() - start).toBeGreaterThan(98);
    expect(answer).toMatchObject({ chunks: [], nextSeq: 1, closed: false });
  });

  it('accepts a time that no timer can wait', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    const answer = read(running, { waitMs: Number.MAX_SAFE_INTEGER });
    expect(await isPending(answer)).toBe(true);
    await running.process.write(Buffer.from('x'), undefined);
    expect(seqsOf(await answer)).toEqual([1]);
  });

  it('ends when nobody waits any more, and leaves no subscription', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    const gone = new AbortController();
    const answers = [1, 2, 3].map(() => read(running, { waitMs: 60_000 }, gone.signal));
    expect(await isPending(Promise.race(answers))).toBe(true);
    gone.abort();
    for (const answer of answers) expect((await answer).chunks).toEqual([]);
    expect((await read(running, { waitMs: 60_000 }, gone.signal)).chunks).toEqual([]);
    expect(getEventListeners(gone.signal, 'abort')).toEqual([]);
  });
});

describe('readProcess: much output', () => {
  it('covers everything in answers of at most 8 MiB, and tells the end only with the last one', async () => {
    const total = 20 * MiB;
    await using running = await runProcess(['head', '-c', `${total}`, '/dev/zero']);
    await running.closed();
    const sizes: number[] = [];
    let afterSeq = 0;
    for (;;) {
      const answer = await read(running, { afterSeq, waitMs: 60_000 });
      expect(seqsOf(answer)).toEqual(seqsOf(answer).map((_, i) => afterSeq + 1 + i));
      const covered = answer.nextSeq === running.process.journal.nextSeq;
      expect([answer.exited, answer.closed]).toEqual([covered, covered]);
      sizes.push(bytesOf(answer).length);
      if (answer.closed) break;
      expect(answer.nextSeq).toBe((answer.chunks.at(-1)?.seq ?? 0) + 1);
      afterSeq = answer.nextSeq - 1;
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.readBytes);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(total);
    expect(sizes.length).toBeGreaterThan(2);
  });

  it('gives no answer that is longer than a message, whatever the caller allows', async () => {
    await using running = await runProcess(['head', '-c', `${50 * MiB}`, '/dev/zero']);
    await running.closed();
    const answer = await read(running, { maxBytes: Number.MAX_SAFE_INTEGER });
    const encoded = answer.chunks.reduce((sum, chunk) => sum + chunk.chunk.length, 0);
    expect(encoded).toBeLessThan(limits.messageBytes);
  });

  it('gives answers that a peer can read, also of a hundred thousand tiny events', async () => {
    await using running = await runProcess(['cat'], { pipeStdin: true });
    const { journal } = running.process;
    for (let i = 0; i < 100_000; i++) journal.append('stdout', Buffer.from('x'));
    let afterSeq = 0;
    let bytes = 0;
    while (afterSeq < journal.nextSeq - 1) {
      const answer = await read(running, { afterSeq });
      const message = parseMessage(JSON.stringify({ id: 1, result: answer }));
      expect(typeof message === 'string' ? message : message.kind).toBe('response');
      bytes += bytesOf(answer).length;
      afterSeq = answer.nextSeq - 1;
    }
    expect(bytes).toBe(100_000);
  });

  it('tells a gap before the output behind it, and not the end with it', async () => {
    await using running = await runProcess(['head', '-c', `${8 * MiB}`, '/dev/zero'], {
      bytesPerProcess: MiB,
    });
    await running.closed();
    const first = await read(running);
    expect(first).toMatchObject({ chunks: [], gap: { fromSeq: 1 }, exited: false, closed: false });
    expect(first.nextSeq).toBe((first.gap?.toSeq ?? 0) + 1);
    const second = await read(running, { afterSeq: first.nextSeq - 1 });
    expect(second.gap).toBeUndefined();
    expect(second).toMatchObject({ closed: true, droppedBytes: first.gap?.bytes });
    expect(bytesOf(second).length + (first.gap?.bytes ?? 0)).toBe(8 * MiB);
  });
});
