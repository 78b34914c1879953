import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import type { CloseReason } from '../../../src/rpc/transport.ts';
import { eventually, isRunning } from '../../support/conformance-leftovers.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import type { Context, Topic } from '../case.ts';

export async function drop(client: WireClient): Promise<void> {
  const reason: CloseReason = { kind: 'goingAway', message: 'dropped by the test' };
  client.transport.close(reason);
  await client.closed;
}

/** Resumes as soon as the executor has noticed that the old connection is gone. */
export async function resume(context: Context, sessionId: string): Promise<WireClient> {
  const client = await context.connect();
  await eventually('the session to be free', async () => {
    const answer = await client.request('initialize', { clientName: 'resumed', resumeSessionId: sessionId });
    if (answer.error === undefined) return true;
    expect(answer.error.code).toBe(-32010);
    return undefined;
  });
  return client;
}

export const sessions: Topic = {
  name: 'sessions',
  cases: [
    {
      id: 'SES-1',
      title: 'a session that nobody knows cannot be resumed',
      covers: ['initialize'],
      run: async (context) => {
        const client = await context.connect();
        for (const resumeSessionId of ['', 'unknown', 'c5037dfb-1ac2-4a1f-86a4-cc0201d7857d']) {
          const error = await client.refused('initialize', { clientName: 'x', resumeSessionId });
          expect(error.code).toBe(-32600);
          expect(error.message).toMatch(/^unknown session id/);
        }
      },
    },
    {
      id: 'SES-2',
      title: 'a session that is attached is not taken over',
      covers: ['initialize', 'environment/status'],
      over: 'shared',
      run: async (context) => {
        const owner = await context.connect();
        const { sessionId } = await owner.handshake();
        const thief = await context.connect();
        const error = await thief.refused('initialize', { clientName: 'thief', resumeSessionId: sessionId });
        expect(error.code).toBe(-32010);
        expect(error.message).toMatch(/already attached to another connection/);
        expect(await owner.call('environment/status')).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'SES-3',
      title: 'a process lives through the loss of its connection, and nothing that it wrote is lost',
      covers: ['process/start', 'process/read', 'process/output', 'process/exited', 'process/closed'],
      over: 'shared',
      run: async (context) => {
        const folder = await context.folder();
        const first = await context.connect();
        const { sessionId } = await first.handshake();
        const view = await first.shell(
          'echo before; until [ -e gate ]; do sleep 0.05; done; echo during; read line; echo "after $line"; exit 4',
          { processId: 'survivor', pipeStdin: true },
        );
        await first.output(view, 'stdout', 'before\n');
        await drop(first);
        await writeFile(path.join(folder, 'gate'), '');

        const second = await resume(context, sessionId);
        second.notify('initialized');
        let cursor = 0;
        let text = '';
        while (!text.includes('during')) {
          const read = await second.call('process/read', {
            processId: 'survivor',
            afterSeq: cursor,
            waitMs: 30_000,
          });
          text += read.chunks.map(({ chunk }) => Buffer.from(chunk).toString()).join('');
          cursor = read.nextSeq - 1;
        }
        expect(text).toBe('before\nduring\n');
        await second.call('process/write', { processId: 'survivor', chunk: 'eAo=', writeId: '1' });
        const resumed = await second.end(second.process('survivor'));
        expect(resumed.text('stdout').endsWith('after x\n')).toBe(true);
        expect(resumed.exited).toMatchObject({ exitCode: 4, endReason: 'exited' });
        expect(resumed.closed?.bytes).toEqual({ stdout: 'before\nduring\nafter x\n'.length, stderr: 0 });
      },
    },
    {
      id: 'SES-4',
      title: 'a long poll of a lost connection does not hold its session',
      covers: ['initialize', 'process/read'],
      over: 'shared',
      run: async (context) => {
        const first = await context.connect();
        const { sessionId } = await first.handshake();
        const { id } = await first.start({ argv: ['/bin/cat'], pipeStdin: true });
        first.request('process/read', { processId: id, waitMs: 600_000 }).catch(() => {});
        await first.call('environment/status');
        await drop(first);
        const second = await resume(context, sessionId);
        second.notify('initialized');
        expect(await second.call('process/terminate', { processId: id })).toMatchObject({ running: true });
      },
    },
    {
      id: 'SES-5',
      title: 'a process whose start was under way when the connection was lost can be found and ended',
      covers: ['process/start', 'process/terminate', 'process/write'],
      over: 'shared',
      run: async (context) => {
        const first = await context.connect();
        const { sessionId } = await first.handshake();
        first
          .request('process/start', first.startParams({ processId: 'late', argv: ['/bin/cat'] }))
          .catch(() => {});
        await drop(first);
        const second = await resume(context, sessionId);
        second.notify('initialized');
        const write = await second.call('process/write', { processId: 'late', chunk: '' });
        expect(['stdinClosed', 'unknownProcess']).toContain(write.status);
        await second.call('process/terminate', { processId: 'late' });
        const { processes } = await second.call('process/list');
        expect(processes).toEqual([]);
      },
    },
    {
      id: 'SES-6',
      title: 'a violation of the protocol detaches the session, which can be resumed',
      covers: ['initialize', 'process/write'],
      over: 'shared',
      run: async (context) => {
        const first = await context.connect();
        const { sessionId } = await first.handshake();
        const { id } = await first.start({ argv: ['/bin/cat'], pipeStdin: true });
        first.send('{"method":"no/such"}');
        await first.ended();
        const second = await resume(context, sessionId);
        second.notify('initialized');
        await second.call('process/write', { processId: id, chunk: 'aGkK', writeId: '1' });
        await second.output(second.process(id), 'stdout', 'hi\n');
        await second.call('process/terminate', { processId: id });
      },
    },
    {
      id: 'SES-7',
      title: 'process ids belong to their session',
      covers: ['process/start', 'process/read', 'process/write', 'process/signal', 'process/terminate'],
      run: async (context) => {
        const [one, other] = [await context.open(), await context.open()];
        const first = await one.start({ processId: 'same', argv: ['/bin/cat'], pipeStdin: true });
        const target = { processId: 'same' };
        expect((await other.refused('process/read', target)).code).toBe(-32600);
        expect(await other.call('process/write', { ...target, chunk: 'eAo=' })).toEqual({
          status: 'unknownProcess',
        });
        expect(await other.call('process/signal', { ...target, signal: 'KILL' })).toEqual({
          delivered: false,
        });
        expect(await other.call('process/terminate', target)).toEqual({ running: false });
        const second = await other.run({ ...target, argv: ['/bin/echo', 'other'] });
        expect(second.text('stdout')).toBe('other\n');
        expect(first.exited).toBeUndefined();
        await one.call('process/terminate', target);
      },
    },
    {
      id: 'SES-8',
      title: 'a write id is remembered through the loss of a connection',
      covers: ['process/write'],
      over: 'shared',
      run: async (context) => {
        const first = await context.connect();
        const { sessionId } = await first.handshake();
        const { id } = await first.start({ argv: ['/bin/cat'], pipeStdin: true });
        const write = { processId: id, chunk: 'b25lCg==', writeId: 'w-1' };
        expect(await first.call('process/write', write)).toEqual({ status: 'accepted' });
        await drop(first);
        const second = await resume(context, sessionId);
        second.notify('initialized');
        expect(await second.call('process/write', write)).toEqual({ status: 'accepted', duplicate: true });
        await second.call('process/closeStdin', { processId: id });
        const ended = await second.end(second.process(id));
        expect(ended.closed?.bytes).toEqual({ stdout: 4, stderr: 0 });
      },
    },
    {
      id: 'SES-9',
      title: 'a session that nobody resumes in time ends with everything in it',
      covers: ['initialize', 'process/list'],
      over: ['memory'],
      run: async (context) => {
        const executor = await context.own({ detachedSessionMs: 300 });
        const first = await context.connect(executor);
        const { sessionId } = await first.handshake();
        await first.shell('trap "" TERM HUP; sleep 600 & sleep 600', { processId: 'doomed' });
        const { processes } = await first.call('process/list');
        const pid = processes[0]?.pid ?? 0;
        expect(await isRunning(pid)).toBe(true);
        await drop(first);
        await eventually('the end of the process', async () => ((await isRunning(pid)) ? undefined : true));
        const second = await context.connect(executor);
        const late = { clientName: 'late', resumeSessionId: sessionId };
        expect((await second.refused('initialize', late)).message).toMatch(/^unknown session id/);
      },
    },
    {
      id: 'SES-10',
      title: 'a closed process is forgotten after its retention, and its id is free again',
      covers: ['process/start', 'process/read', 'process/write', 'process/terminate', 'process/list'],
      over: ['memory'],
      run: async (context) => {
        const client = await context.open(await context.own({ closedRetentionMs: 300 }));
        await client.run({ processId: 'old', argv: ['/bin/echo', 'x'] });
        const target = { processId: 'old' };
        const [kept] = (await client.call('process/list', { includeClosed: true })).processes;
        expect(kept).toMatchObject({ processId: 'old', state: 'closed' });
        await expectForgotten(client);
        expect((await client.refused('process/read', target)).message).toMatch(/^unknown process id/);
        expect(await client.call('process/write', { ...target, chunk: '' })).toEqual({
          status: 'unknownProcess',
        });
        expect(await client.call('process/terminate', target)).toEqual({ running: false });
        await client.call('process/start', client.startParams({ ...target, argv: ['/bin/true'] }));
        await expectForgotten(client);
      },
    },
    {
      id: 'SES-11',
      title: 'a closed process is forgotten after its retention in a resumed session, too',
      covers: ['initialize', 'process/list'],
      over: ['memory'],
      run: async (context) => {
        const executor = await context.own({ closedRetentionMs: 1000 });
        const first = await context.connect(executor);
        const { sessionId } = await first.handshake();
        await first.run({ processId: 'old', argv: ['/bin/echo', 'x'] });
        await drop(first);
        const second = await context.connect(executor);
        await second.handshake(sessionId);
        await expectForgotten(second);
      },
    },
    {
      id: 'SES-12',
      title: 'a retry after a failed resume gets a session of its own',
      covers: ['initialize', 'process/list'],
      run: async (context) => {
        const client = await context.connect();
        await client.refused('initialize', { clientName: 'x', resumeSessionId: 'gone' });
        await client.handshake();
        expect(await client.call('process/list')).toEqual({ processes: [] });
      },
    },
  ],
};

async function expectForgotten(client: WireClient): Promise<void> {
  await eventually('the process to be forgotten', async () => {
    const { processes } = await client.call('process/list', { includeClosed: true });
    return processes.length === 0 ? true : undefined;
  });
}
