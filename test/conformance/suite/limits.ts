import { expect } from 'vitest';

import type { Topic } from '../case.ts';

export const limitsAndConcurrency: Topic = {
  name: 'limits and concurrency',
  cases: [
    {
      id: 'LIM-1',
      title: '500 starts that are sent without waiting are all answered and all end',
      covers: ['process/start', 'process/exited', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        const views = await Promise.all(
          Array.from({ length: 500 }, async (_, index) =>
            client.start({ processId: `p${index}`, argv: ['/bin/echo', String(index)] }),
          ),
        );
        for (const [index, view] of views.entries()) {
          await client.end(view);
          expect(view.text('stdout')).toBe(`${index}\n`);
          expect(view.exited?.exitCode).toBe(0);
        }
      },
    },
    {
      id: 'LIM-2',
      title: '200 processes run at the same time, each with its own input and output',
      covers: ['process/start', 'process/write', 'process/closeStdin', 'process/list'],
      run: async (context) => {
        const client = await context.open();
        const views = await Promise.all(
          Array.from({ length: 200 }, async () => client.start({ argv: ['/bin/cat'], pipeStdin: true })),
        );
        expect((await client.call('process/list')).processes).toHaveLength(200);
        await Promise.all(
          views.map(async ({ id }, index) => {
            const chunk = Buffer.from(`${index}\n`).toString('base64');
            await client.call('process/write', { processId: id, chunk });
            await client.call('process/closeStdin', { processId: id });
          }),
        );
        for (const [index, view] of views.entries()) {
          await client.end(view);
          expect(view.text('stdout')).toBe(`${index}\n`);
        }
      },
    },
    {
      id: 'LIM-3',
      title: '5000 reads that wait hold up nothing, and end with their process',
      covers: ['process/read', 'process/terminate', 'environment/status'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        const reads = Array.from({ length: 5000 }, async () =>
          client.request('process/read', { processId: view.id, waitMs: 600_000 }),
        );
        expect(await client.call('environment/status')).toEqual({ status: 'ready' });
        await client.call('process/terminate', { processId: view.id });
        const answers = await Promise.all(reads);
        expect(answers.every(({ error }) => error === undefined)).toBe(true);
      },
    },
    {
      id: 'LIM-4',
      title: 'a request beyond 8192 in flight is refused, and the others go on',
      covers: ['process/read'],
      over: ['memory', 'websocket', 'rendezvous'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        const reads = Array.from({ length: 8200 }, async () =>
          client.request('process/read', { processId: view.id, waitMs: 600_000 }),
        );
        await client.waitFor('the refusals', () =>
          client.answers.filter(({ error }) => error?.code === -32011).length >= 8 ? true : undefined,
        );
        client.transport.close({ kind: 'normal', message: 'enough' });
        await Promise.allSettled(reads);
      },
    },
    {
      id: 'LIM-5',
      title: 'connections do not hold up each other',
      covers: ['process/start', 'process/output', 'environment/status'],
      over: 'shared',
      run: async (context) => {
        const [busy, other] = [await context.open(), await context.open()];
        const endless = await busy.start({ argv: ['/usr/bin/yes'] });
        busy.transport.pause();
        for (const _ of [1, 2, 3]) {
          expect(await other.call('environment/status')).toEqual({ status: 'ready' });
          const view = await other.run({ argv: ['/bin/echo', 'hi'] });
          expect(view.text('stdout')).toBe('hi\n');
        }
        busy.transport.resume();
        await busy.call('process/terminate', { processId: endless.id });
      },
    },
    {
      id: 'LIM-6',
      title: 'the end of a short process is noticed while another one runs',
      covers: ['process/start', 'process/exited', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        const endless = await client.start({ argv: ['/usr/bin/yes'] });
        for (let round = 0; round < 50; round++) await client.run({ argv: ['/bin/true'] });
        await client.call('process/terminate', { processId: endless.id });
        const idle = await client.start({ argv: ['/bin/sleep', '600'] });
        for (let round = 0; round < 50; round++) await client.run({ argv: ['/bin/true'] });
        await client.call('process/terminate', { processId: idle.id });
      },
    },
  ],
};
