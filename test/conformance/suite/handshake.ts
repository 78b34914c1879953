import { expect } from 'vitest';

import { requests } from '../../../src/protocol/methods.ts';
import type { Topic } from '../case.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export const handshake: Topic = {
  name: 'handshake',
  cases: [
    {
      id: 'HS-1',
      title: 'initialize answers a new session and the facts of the environment',
      covers: ['initialize', 'initialized'],
      run: async (context) => {
        const client = await context.connect();
        const { result } = await client.request('initialize', { clientName: 'conformance' });
        expect(result).toMatchObject({
          sessionId: expect.stringMatching(uuid),
          environmentInfo: {
            shell: { name: expect.stringMatching(/^[^/]+$/), path: expect.stringMatching(/^\//) },
            cwd: expect.stringMatching(/^file:\/\/\//),
            executorVersion: expect.stringMatching(/^\d+\.\d+\.\d+/),
            providerId: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
            userHomeDir: expect.stringMatching(/^file:\/\/\//),
            platformOs: expect.stringMatching(/^(?:linux|macos)$/),
            tempDir: expect.stringMatching(/^file:\/\/\//),
            temporaryDirectories: [],
            prependPathDirs: [],
            capabilities: expect.objectContaining({
              execServer: expect.objectContaining({
                methods: Object.keys(requests),
                journal: { memoryBytes: expect.any(Number), diskBytes: expect.any(Number) },
              }),
            }),
          },
        });
        client.notify('initialized');
        await client.call('environment/status');
      },
    },
    {
      id: 'HS-2',
      title: 'environment/info answers the object of the handshake',
      covers: ['environment/info'],
      run: async (context) => {
        const client = await context.connect();
        const { environmentInfo } = await client.handshake();
        expect(await client.call('environment/info')).toEqual(environmentInfo);
      },
    },
    {
      id: 'HS-12',
      title: 'environment/metrics answers how busy the executor is',
      covers: ['environment/metrics'],
      run: async (context) => {
        const client = await context.open(await context.own());
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        const metrics = await client.call('environment/metrics');
        expect(metrics).toMatchObject({
          eventLoop: { p99LagMs: expect.any(Number), longestLagMs: expect.any(Number) },
          connections: 1,
          sessions: 1,
          processes: 1,
          descriptorsScarce: false,
        });
        expect(metrics.residentBytes).toBeGreaterThan(1_000_000);
        await client.call('process/closeStdin', { processId: view.id });
        await client.end(view);
        expect(await client.call('environment/metrics')).toMatchObject({ processes: 0 });
      },
    },
    {
      id: 'HS-3',
      title: 'environment/status answers ready',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        expect((await client.request('environment/status')).result).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'HS-4',
      title: 'every connection gets a session of its own and hears of the same provider',
      covers: ['initialize'],
      run: async (context) => {
        const [one, other] = [await context.connect(), await context.connect()];
        const [first, second] = [await one.handshake(), await other.handshake()];
        expect(first.sessionId).not.toBe(second.sessionId);
        expect(first.environmentInfo?.providerId).toBe(second.environmentInfo?.providerId);
      },
    },
    {
      id: 'HS-5',
      title: 'a second initialize is refused and the session goes on',
      covers: ['initialize'],
      run: async (context) => {
        const client = await context.connect();
        const { sessionId } = await client.call('initialize', { clientName: 'conformance' });
        for (const params of [{ clientName: 'again' }, { clientName: 'again', resumeSessionId: sessionId }])
          expect(await client.refused('initialize', params)).toMatchObject({
            code: -32600,
            message: 'initialize may only be sent once per connection',
          });
        client.notify('initialized');
        expect(await client.refused('initialize', { clientName: 'again' })).toMatchObject({ code: -32600 });
        expect(await client.call('environment/status')).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'HS-6',
      title: 'parameters of a second initialize are decoded before it is refused',
      covers: ['initialize'],
      run: async (context) => {
        const client = await context.open();
        expect(await client.refused('initialize', {})).toMatchObject({ code: -32602 });
      },
    },
    {
      id: 'HS-7',
      title: 'a connection may call initialize again after one that failed',
      covers: ['initialize'],
      run: async (context) => {
        const client = await context.connect();
        expect(await client.refused('initialize', { clientName: 7 })).toMatchObject({ code: -32602 });
        const resumed = { clientName: '', resumeSessionId: 'no-such-session' };
        expect(await client.refused('initialize', resumed)).toMatchObject({ code: -32600 });
        await client.handshake();
        expect(await client.call('environment/status')).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'HS-8',
      title: 'initialized takes any params and may be repeated',
      covers: ['initialized'],
      run: async (context) => {
        for (const params of ['', ',"params":null', ',"params":{}', ',"params":[1,2]', ',"params":"x"']) {
          const client = await context.connect();
          await client.call('initialize', { clientName: 'conformance' });
          client.send(`{"method":"initialized"${params}}`);
          client.send(`{"method":"initialized"${params}}`);
          expect(await client.call('environment/status')).toEqual({ status: 'ready' });
        }
      },
    },
    {
      id: 'HS-9',
      title: 'the name of a client may be empty, its trace and unknown members do not matter',
      covers: ['initialize'],
      run: async (context) => {
        const client = await context.connect();
        const answer = await client.ask(
          JSON.stringify({
            id: 'i',
            method: 'initialize',
            params: { clientName: '', resumeSessionId: null, capabilities: { any: true } },
            trace: {
              traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
              tracestate: null,
            },
            future: 1,
          }),
          '"i"',
        );
        expect(answer.error).toBeUndefined();
      },
    },
    {
      id: 'HS-10',
      title: 'a client may send its whole conversation without waiting',
      covers: ['initialize', 'initialized', 'process/start', 'process/read', 'process/write'],
      run: async (context) => {
        const client = await context.connect();
        const start = client.startParams({ argv: ['/bin/cat'], pipeStdin: true });
        const { processId } = start;
        const answers = [client.request('initialize', { clientName: 'pipelining' })];
        client.notify('initialized', {});
        answers.push(
          client.request('process/start', start),
          client.request('process/write', { processId, chunk: 'cGlwZWxpbmVkCg==', writeId: '1' }),
          client.request('process/read', { processId, afterSeq: 0, waitMs: 30_000 }),
        );
        const [, started, written, read] = await Promise.all(answers);
        expect(started?.result).toMatchObject({ processId });
        expect(written?.result).toMatchObject({ status: 'accepted' });
        expect(read?.result).toMatchObject({
          chunks: [{ seq: 1, stream: 'stdout', chunk: 'cGlwZWxpbmVkCg==' }],
        });
        await client.call('process/terminate', { processId });
      },
    },
    {
      id: 'HS-11',
      title: 'the answer of a start is the last thing before the first event of its process',
      covers: ['process/start', 'process/output', 'process/exited', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        // That no event comes before its answer is checked for every process.
        const views = await Promise.all(
          Array.from({ length: 60 }, async (_, index) => client.start({ argv: ['/bin/echo', `${index}`] })),
        );
        for (const [index, view] of views.entries()) {
          await client.end(view);
          expect(view.text('stdout')).toBe(`${index}\n`);
        }
      },
    },
  ],
};
