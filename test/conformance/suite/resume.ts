import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import type { Result } from '../../../src/protocol/methods.ts';
import { eventually, isRunning } from '../../support/conformance-leftovers.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import type { Context, Topic } from '../case.ts';
import { drop, resume } from './sessions.ts';

type Greeting = Result<'initialize'>;

/** Says that the session shall be resumed, and nothing else yet. */
async function comeBack(
  client: WireClient,
  { sessionId, sessionSecret }: Greeting,
  cursors: { processId: string; afterSeq: number }[],
): Promise<Greeting> {
  const resume = { secret: sessionSecret, cursors };
  return client.call('initialize', { clientName: 'back', resumeSessionId: sessionId, resume });
}

async function first(context: Context): Promise<{ client: WireClient; greeting: Greeting }> {
  const client = await context.connect();
  return { client, greeting: await client.handshake() };
}

export const resuming: Topic = {
  name: 'resuming by cursor',
  cases: [
    {
      id: 'RES-1',
      title: 'a resumed connection gets what it missed, in order and once, from the cursor that it names',
      covers: ['initialize', 'initialized', 'process/output', 'process/exited', 'process/closed'],
      over: 'shared',
      run: async (context) => {
        const { client, greeting } = await first(context);
        const script =
          'echo one; until [ -e gate ]; do sleep 0.05; done; echo two; echo three >&2; read x; echo $x';
        const view = await client.shell(script, { processId: 'p', pipeStdin: true });
        await client.output(view, 'stdout', 'one\n');
        await drop(client);
        await writeFile(path.join(await context.folder(), 'gate'), '');
        const back = await context.connect();
        await comeBack(back, greeting, [{ processId: 'p', afterSeq: view.chunks.at(-1)?.seq ?? 0 }]);
        back.notify('initialized');
        await back.output(back.process('p'), 'stderr', 'three\n');
        await back.call('process/write', { processId: 'p', chunk: 'eAo=', writeId: '1' });
        const resumed = await back.end(back.process('p'));
        expect(resumed.firstSeq).toBe(2);
        expect(resumed.text('stdout')).toBe('two\nx\n');
        expect(resumed.closed?.bytes).toEqual({ stdout: 'one\ntwo\nx\n'.length, stderr: 'three\n'.length });
      },
    },
    {
      id: 'RES-2',
      title:
        'a process that closed while nobody was there is told to its end, behind the answer to initialize',
      covers: ['initialize', 'process/closed'],
      over: 'shared',
      run: async (context) => {
        const { client, greeting } = await first(context);
        await client.run({ processId: 'p', argv: ['/usr/bin/seq', '1', '20000'] });
        await drop(client);
        const back = await context.connect();
        await comeBack(back, greeting, [{ processId: 'p', afterSeq: 0 }]);
        // Whatever the executor still has to say, it does not say it before the client is ready.
        await back.refused('process/list');
        expect(back.texts.filter((text) => text.includes('"method"'))).toEqual([]);
        back.notify('initialized');
        const view = await back.end(back.process('p'));
        expect(view.firstSeq).toBe(1);
        expect(view.bytes('stdout').length).toBe(108_894);
        expect(view.exited).toMatchObject({ exitCode: 0 });
      },
    },
    {
      id: 'RES-3',
      title:
        'a process that is named and not there is named in the answer, and a cursor beyond the newest event is the newest',
      covers: ['initialize', 'process/write', 'process/output'],
      over: 'shared',
      run: async (context) => {
        const { client, greeting } = await first(context);
        await client.start({ processId: 'p', argv: ['/bin/cat'], pipeStdin: true });
        await drop(client);
        const back = await context.connect();
        const cursors = ['p', 'gone', '__proto__'].map((processId) => ({ processId, afterSeq: 1000 }));
        const answer = await comeBack(back, greeting, cursors);
        expect(answer.unknownProcesses).toEqual(['gone', '__proto__']);
        back.notify('initialized');
        await back.call('process/write', { processId: 'p', chunk: 'aGkK', writeId: '1' });
        await back.output(back.process('p'), 'stdout', 'hi\n');
        expect(back.process('p').firstSeq).toBe(1);
        await back.call('process/terminate', { processId: 'p' });
      },
    },
    {
      id: 'RES-4',
      title: 'a client with the secret takes its session over from a connection that seems alive',
      covers: ['initialize', 'process/write', 'process/output'],
      over: 'shared',
      run: async (context) => {
        const { client, greeting } = await first(context);
        await client.start({ processId: 'p', argv: ['/bin/cat'], pipeStdin: true });
        const back = await context.connect();
        await comeBack(back, greeting, []);
        back.notify('initialized');
        expect(await client.ended()).toMatchObject({ kind: 'displaced' });
        await back.call('process/write', { processId: 'p', chunk: 'aGkK', writeId: '1' });
        await back.output(back.process('p'), 'stdout', 'hi\n');
        expect(client.process('p').chunks).toEqual([]);
        await back.call('process/terminate', { processId: 'p' });
      },
    },
    {
      id: 'RES-5',
      title: 'a wrong secret takes nothing over, and opens no session that waits for its client either',
      covers: ['initialize', 'environment/status'],
      over: 'shared',
      run: async (context) => {
        const { client, greeting } = await first(context);
        const { sessionId: resumeSessionId, sessionSecret } = greeting;
        const thief = await context.connect();
        const claims = ['', 'x', sessionSecret?.slice(1), `${sessionSecret}x`];
        for (const secret of claims) {
          const params = { clientName: 'thief', resumeSessionId, resume: { secret } };
          expect((await thief.refused('initialize', params)).code).toBe(-32010);
        }
        expect(await client.call('environment/status')).toEqual({ status: 'ready' });
        await drop(client);
        await eventually('the session to be free', async () => {
          const params = { clientName: 'thief', resumeSessionId, resume: { secret: 'x' } };
          const { code } = await thief.refused('initialize', params);
          return code === -32600 ? true : undefined;
        });
        (await resume(context, resumeSessionId)).notify('initialized');
      },
    },
    {
      id: 'RES-6',
      title: 'every session has a secret of its own, which a resumed client is told again',
      covers: ['initialize'],
      over: 'shared',
      run: async (context) => {
        const [one, other] = [await first(context), await first(context)];
        expect(one.greeting.sessionSecret).toMatch(/^[\w-]{43}$/);
        expect(one.greeting.sessionSecret).not.toBe(other.greeting.sessionSecret);
        const back = await context.connect();
        expect((await comeBack(back, one.greeting, [])).sessionSecret).toBe(one.greeting.sessionSecret);
      },
    },
    {
      id: 'RES-7',
      title: 'a repeated start with its startId starts nothing, and says so',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const params = client.startParams({ argv: ['/bin/sh', '-c', 'echo x >> trace'], processId: 'p' });
        const once = { ...params, startId: 's' };
        const [one, other] = await Promise.all([
          client.call('process/start', once),
          client.call('process/start', once),
        ]);
        expect([one.duplicate, other.duplicate]).toEqual([undefined, true]);
        const view = await client.end(client.process('p'));
        expect(view.exited).toMatchObject({ exitCode: 0 });
        expect(await client.call('process/start', once)).toMatchObject({ processId: 'p', duplicate: true });
        expect((await client.refused('process/start', params)).code).toBe(-32600);
        expect((await client.refused('process/start', { ...once, processId: 'q' })).code).toBe(-32600);
        const cat = await client.run({ argv: ['/bin/cat', 'trace'] });
        expect(cat.text('stdout')).toBe('x\n');
      },
    },
    {
      id: 'RES-8',
      title: 'a start that failed may be tried again with its startId',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const params = {
          ...client.startParams({ argv: ['/no/such/program'], processId: 'p' }),
          startId: 's',
        };
        expect((await client.refused('process/start', params)).code).toBe(-32603);
        const again = await client.call('process/start', { ...params, argv: ['/bin/true'] });
        expect(again.duplicate).toBeUndefined();
        await client.end(client.process('p'));
      },
    },
    {
      id: 'RES-9',
      title: 'the end of an input is repeated with its writeId, and a PTY gets one end of file only',
      covers: ['process/closeStdin', 'process/write'],
      run: async (context) => {
        const client = await context.open();
        await client.start({ processId: 'p', argv: ['/bin/cat'], pipeStdin: true });
        await client.call('process/write', { processId: 'p', chunk: 'aGkK', writeId: '1' });
        expect(await client.call('process/closeStdin', { processId: 'p', writeId: '2' })).toEqual({
          status: 'accepted',
        });
        const repeated = { status: 'accepted', duplicate: true };
        expect(await client.call('process/closeStdin', { processId: 'p', writeId: '2' })).toEqual(repeated);
        expect(await client.call('process/write', { processId: 'p', chunk: 'aGkK', writeId: '1' })).toEqual(
          repeated,
        );
        expect(await client.call('process/closeStdin', { processId: 'p' })).toEqual({
          status: 'stdinClosed',
        });
        expect((await client.end(client.process('p'))).text('stdout')).toBe('hi\n');
        const script = 'stty -echo; echo ready; cat; echo first; cat; echo second';
        const terminal = await client.shell(script, { processId: 't', tty: true });
        await client.output(terminal, 'pty', 'ready');
        for (let count = 0; count < 2; count++)
          await client.call('process/closeStdin', { processId: 't', writeId: '1' });
        await client.output(terminal, 'pty', 'first');
        await client.call('process/write', { processId: 't', chunk: 'aGkK', writeId: '2' });
        await client.output(terminal, 'pty', 'hi');
        await client.call('process/closeStdin', { processId: 't', writeId: '3' });
        await client.end(terminal);
      },
    },
    {
      id: 'RES-10',
      title: 'a process ends with the loss of its connection where its start said so, with TERM first',
      covers: ['process/start', 'process/terminate'],
      over: 'shared',
      run: async (context) => {
        const { client, greeting } = await first(context);
        const script = 'trap "echo asked; exit 9" TERM; echo ready; while :; do sleep 0.05; done';
        const doomed = await client.shell(script, {
          processId: 'doomed',
          onDisconnect: { terminateAfterMs: 100 },
        });
        await client.output(doomed, 'stdout', 'ready\n');
        await client.start({ processId: 'kept', argv: ['/bin/sleep', '600'] });
        const { processes } = await client.call('process/list');
        const pid = processes.find(({ processId }) => processId === 'doomed')?.pid ?? 0;
        await drop(client);
        await eventually('the end of the process', async () => ((await isRunning(pid)) ? undefined : true));
        const back = await context.connect();
        await comeBack(back, greeting, [{ processId: 'doomed', afterSeq: 0 }]);
        back.notify('initialized');
        const view = await back.end(back.process('doomed'));
        expect(view.text('stdout')).toBe('ready\nasked\n');
        expect(view.exited).toMatchObject({ exitCode: 9, endReason: 'disconnected' });
        expect((await back.call('process/terminate', { processId: 'kept' })).running).toBe(true);
      },
    },
    {
      id: 'RES-11',
      title:
        'a session that comes back in time keeps such a process, however often, and the old time does not count',
      covers: ['process/start', 'process/list'],
      over: ['memory'],
      run: async (context) => {
        const { client, greeting } = await first(context);
        const onDisconnect = { terminateAfterMs: 1500 };
        await client.start({ processId: 'p', argv: ['/bin/sleep', '600'], onDisconnect });
        let current = client;
        // Longer in all than the time that it has for each.
        for (const begin = performance.now(); performance.now() - begin < 2000;) {
          await drop(current);
          const back = await context.connect();
          await comeBack(back, greeting, []);
          back.notify('initialized');
          current = back;
        }
        const { processes } = await current.call('process/list');
        expect(processes).toMatchObject([{ processId: 'p', state: 'running' }]);
        await current.call('process/terminate', { processId: 'p' });
      },
    },
    {
      id: 'RES-12',
      title:
        'the conversation of a client in the field goes its way: start, loss, resume, read, and a third connection',
      covers: ['initialize', 'process/start', 'process/output', 'process/read'],
      over: 'shared',
      run: async (context) => {
        const { client, greeting } = await first(context);
        const argv = ['/bin/sh', '-c', 'echo up; sleep 1; echo down; exit 4'];
        const params = { ...client.startParams({ processId: 'slow', argv }), env: { PATH: '/usr/bin:/bin' } };
        const { sessionId: resumeSessionId } = greeting;
        expect(await client.call('process/start', params)).toEqual({
          processId: 'slow',
          sandboxType: 'none',
        });
        await client.output(client.process('slow'), 'stdout', 'up\n');
        expect(client.process('slow').firstSeq).toBe(1);
        await drop(client);
        const back = await resume(context, resumeSessionId);
        expect(back.answers[0]?.result).toMatchObject({ sessionId: resumeSessionId });
        back.notify('initialized', {});
        await eventually('the end of the process', async () => {
          const [slow] = (await back.call('process/list', { includeClosed: true })).processes;
          return slow?.state === 'closed' ? true : undefined;
        });
        const read = { processId: 'slow', afterSeq: 1, waitMs: 0 };
        expect((await back.request('process/read', read)).result).toMatchObject({
          chunks: [{ seq: 2, stream: 'stdout', chunk: 'ZG93bgo=' }],
          nextSeq: 5,
          exited: true,
          exitCode: 4,
          closed: true,
          failure: null,
          sandboxDenied: false,
        });
        const thief = await context.connect();
        const error = await thief.refused('initialize', { clientName: 'thief', resumeSessionId });
        expect(error.code).toBe(-32010);
        expect(error.message).toContain(
          `session ${resumeSessionId} is already attached to another connection`,
        );
      },
    },
    {
      id: 'RES-13',
      title:
        'a process that closes while its client is away is kept as long as its session, and has its whole retention then',
      covers: ['initialize', 'process/read', 'process/list'],
      over: ['memory'],
      run: async (context) => {
        const executor = await context.own({ closedRetentionMs: 200 });
        const client = await context.connect(executor);
        const greeting = await client.handshake();
        await client.run({ processId: 'early', argv: ['/bin/echo', 'x'] });
        await client.start({ processId: 'late', argv: ['/bin/sleep', '0.7'] });
        const [, late] = (await client.call('process/list', { includeClosed: true })).processes;
        await drop(client);
        await eventually('the end of the later process', async () =>
          (await isRunning(late?.pid ?? 0)) ? undefined : true,
        );
        const back = await context.connect(executor);
        await comeBack(back, greeting, []);
        back.notify('initialized');
        const read = await back.call('process/read', { processId: 'early' });
        expect(read).toMatchObject({ closed: true, chunks: [{ seq: 1 }] });
        await eventually('both to be forgotten', async () => {
          const { processes } = await back.call('process/list', { includeClosed: true });
          return processes.length === 0 ? true : undefined;
        });
      },
    },
  ],
};
