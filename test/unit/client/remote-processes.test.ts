import { describe, expect, test } from 'vitest';

import { OutputLostError } from '../../../src/client/output-lost-error.ts';
import { RemoteProcess } from '../../../src/client/remote-process.ts';
import { RemoteProcesses } from '../../../src/client/remote-processes.ts';
import type { Call } from '../../../src/client/call.ts';
import type { Link } from '../../../src/client/link.ts';

const windowBytes = 1024 * 1024;
const greeting = { sessionId: 's', sessionSecret: 'x', environment: undefined, unknownProcesses: [] };
const params = { processId: 'p', argv: ['x'], cwd: '/', env: {}, tty: false };
const nobody = { key: () => '', join: async () => {} };
const exited = { kind: 'exited', processId: 'p', exitCode: 0 } as const;

/** Lets every call succeed with nothing. */
const call = (async () => ({})) as unknown as Call;

describe('RemoteProcesses', () => {
  test('gives up a process that the executor no longer has, and keeps one whose start has no answer', async () => {
    let answer = (): void => {};
    const slow = (async (method: string) =>
      method === 'process/start' &&
      new Promise<void>((resolve) => void (answer = resolve))) as unknown as Call;
    const processes = new RemoteProcesses(slow, { windowBytes, greeting: () => greeting });
    const first = processes.start(params);
    answer();
    const known = await first;
    const second = processes.start({ ...params, processId: 'q' });
    // No process of another session is attached, so that the connection is not used.
    await processes.resumed({} as Link, ['p', 'q', 'never heard of'], new AbortController().signal);
    await expect(known.exited).rejects.toMatchObject({ name: 'ConnectionError', reason: 'expired' });
    answer();
    expect((await second).id).toBe('q');
    expect(processes.cursors()).toEqual([{ processId: 'q', afterSeq: 0 }]);
  });

  test('names for each process the last event that has come with all before it', async () => {
    const processes = new RemoteProcesses(call, { windowBytes, greeting: () => greeting });
    await processes.start(params);
    const output = processes.receivers['process/output'];
    const bytes = new Uint8Array([1]);
    for (const seq of [1, 2, 4]) output({ processId: 'p', seq, stream: 'stdout', chunk: bytes });
    expect(processes.cursors()).toEqual([{ processId: 'p', afterSeq: 2 }]);
  });

  test('keeps a process whose id a refused start wanted', async () => {
    let refuse = false;
    const some = (async () => {
      if (refuse) throw new Error('refused');
    }) as unknown as Call;
    const processes = new RemoteProcesses(some, { windowBytes, greeting: () => greeting });
    const first = await processes.start(params);
    refuse = true;
    await expect(processes.start(params)).rejects.toThrow('refused');
    processes.receivers['process/exited']({ seq: 1, ...exited });
    expect(await first.exited).toMatchObject({ exitCode: 0 });
  });
});

describe('RemoteProcess', () => {
  const totals = { stdout: 3, stderr: 0 };
  const closed = (seq: number) => ({ kind: 'closed', processId: 'p', seq, bytes: totals }) as const;

  test('reports no success where the totals of the end say more than has come', async () => {
    const process = new RemoteProcess('p', call, windowBytes, nobody);
    process.receive({ kind: 'output', seq: 1, stream: 'stdout', bytes: new Uint8Array([1]) });
    process.receive({ seq: 2, ...exited });
    process.receive(closed(3));
    expect(await process.closed).toMatchObject({ complete: false });
    await expect(process.stdout.collect()).rejects.toThrow(OutputLostError);
    await expect(process.stderr.collect()).rejects.toMatchObject({ gap: { bytes: 2 } });
  });

  test('reports success where they agree', async () => {
    const process = new RemoteProcess('p', call, windowBytes, nobody);
    process.receive({ kind: 'output', seq: 1, stream: 'stdout', bytes: new Uint8Array([1, 2, 3]) });
    process.receive({ seq: 2, ...exited });
    process.receive(closed(3));
    expect(await process.closed).toMatchObject({ complete: true });
    expect((await process.stdout.collect()).length).toBe(3);
  });

  test('leaves nobody waiting for an exit that a limit has dropped', async () => {
    const process = new RemoteProcess('p', call, windowBytes, nobody);
    process.receive({ kind: 'gap', seq: 2, gap: { fromSeq: 1, toSeq: 2, bytes: 3 } });
    process.receive(closed(3));
    expect(await process.closed).toMatchObject({ complete: false });
    await expect(process.exited).rejects.toThrow(OutputLostError);
  });
});
