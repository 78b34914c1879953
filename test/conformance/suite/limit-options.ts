import { expect } from 'vitest';

import type { AdjustableLimit } from '../../../src/protocol/limit-settings.ts';
import type { WireError } from '../../../src/protocol/errors.ts';
import type { Topic } from '../case.ts';

/** The error of a limit that is reached: it names the limit and what changes it. */
function expectLimit(error: WireError | undefined, limit: AdjustableLimit, value: number): void {
  const option = `--limit ${limit}=N`;
  expect(error).toMatchObject({ code: -32011, data: { limit, value, option } });
  expect(error?.message).toContain(option);
}

const cat = { argv: ['/bin/cat'], pipeStdin: true };

export const limitOptions: Topic = {
  name: 'limits that an operator sets',
  cases: [
    {
      id: 'LMO-1',
      title: 'a session beyond the limit is refused, until one has ended',
      covers: ['initialize'],
      over: 'shared',
      run: async (context) => {
        const executor = await context.own({ limits: { sessions: 2 } });
        await context.open(executor);
        const second = await context.open(executor);
        const third = await context.connect(executor);
        expectLimit(await third.refused('initialize', { clientName: 'third' }), 'sessions', 2);
        expect(await second.call('environment/status')).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'LMO-2',
      title: 'a process of a session beyond the limit is refused, until one has closed',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open(await context.own({ limits: { liveProcesses: 2 } }));
        const first = await client.start(cat);
        await client.start(cat);
        expectLimit(await client.refused('process/start', client.startParams(cat)), 'liveProcesses', 2);
        await client.call('process/closeStdin', { processId: first.id });
        await client.end(first);
        await client.start(cat);
      },
    },
    {
      id: 'LMO-3',
      title: 'a process of the executor beyond the limit is refused, whoever has the others',
      covers: ['process/start'],
      over: 'shared',
      run: async (context) => {
        const executor = await context.own({ limits: { processes: 2 } });
        const [one, other] = [await context.open(executor), await context.open(executor)];
        const first = await one.start(cat);
        // A start that fails takes no place.
        for (let round = 0; round < 3; round++)
          await one.refused('process/start', one.startParams({ argv: ['/no/such/program'] }));
        await one.start(cat);
        expectLimit(await other.refused('process/start', other.startParams(cat)), 'processes', 2);
        await one.call('process/terminate', { processId: first.id });
        await one.end(first);
        await other.start(cat);
      },
    },
    {
      id: 'LMO-4',
      title: 'a request beyond the limit in flight is refused at once, and the others go on',
      covers: ['process/read'],
      run: async (context) => {
        const client = await context.open(await context.own({ limits: { requestsInFlight: 3 } }));
        const view = await client.start(cat);
        const params = { processId: view.id, waitMs: 600_000 };
        const reads = [1, 2, 3].map(() => client.request('process/read', params));
        expectLimit(await client.refused('process/read', params), 'requestsInFlight', 3);
        client.transport.close({ kind: 'normal', message: 'enough' });
        await Promise.allSettled(reads);
      },
    },
    {
      id: 'LMO-5',
      title: 'a message beyond the limit of depth or values is answered, and the next one is served',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open(await context.own({ limits: { jsonDepth: 4, jsonValues: 20 } }));
        const texts = {
          jsonDepth: '{"id":1,"method":"environment/status","x":[[[[]]]]}',
          jsonValues: `{"id":1,"method":"environment/status","x":[${'1,'.repeat(20)}1]}`,
        };
        for (const [limit, text] of Object.entries(texts)) {
          const { error } = await client.ask(text, '-1');
          expect(error).toMatchObject({ code: -32600 });
          expect(error?.message).toContain(`--limit ${limit}=N`);
        }
        expect(await client.call('environment/status')).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'LMO-6',
      title: 'a message beyond the limit of bytes ends the connection with the reason',
      covers: ['environment/status'],
      over: ['stdio', 'websocket', 'rendezvous'],
      run: async (context) => {
        const client = await context.open(await context.own({ limits: { messageBytes: 1000 } }));
        const text = (bytes: number): string => '{"id":1,"method":"environment/status"}'.padEnd(bytes);
        expect((await client.ask(text(1000), '1')).error).toBeUndefined();
        client.send(text(1001));
        const reason = await client.ended();
        if (context.target.name !== 'stdio')
          expect(reason).toMatchObject({
            kind: 'tooBig',
            message: expect.stringContaining('--limit messageBytes=N'),
          });
      },
    },
    {
      id: 'LMO-7',
      title: 'output beyond the limit of memory is kept on disk',
      covers: ['process/read', 'environment/metrics', 'environment/info'],
      run: async (context) => {
        const limits = { journalMemoryBytes: 70_000, journalMemoryTotalBytes: 200_000 };
        const client = await context.open(await context.own({ limits }));
        expect((await client.call('environment/info')).capabilities?.execServer?.journal.memoryBytes).toBe(
          70_000,
        );
        const view = await client.run({ argv: ['/bin/sh', '-c', 'head -c 1000000 /dev/zero'] });
        expect(view.closed?.bytes).toEqual({ stdout: 1_000_000, stderr: 0 });
        const { journal } = await client.call('environment/metrics');
        expect(journal.memoryBytes).toBeLessThanOrEqual(70_000);
        expect(journal.diskBytes).toBeGreaterThan(900_000);
        const read = await client.call('process/read', { processId: view.id, afterSeq: 0 });
        expect(read.gap).toBeUndefined();
      },
    },
  ],
};
