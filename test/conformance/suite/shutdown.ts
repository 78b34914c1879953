import { expect } from 'vitest';

import type { Topic } from '../case.ts';

/** Goes on after TERM until a line comes. */
const stubborn = 'trap "echo told" TERM; echo ready; until read line; do :; done; exit 3';

export const shutdown: Topic = {
  name: 'shutdown',
  cases: [
    {
      id: 'DRN-1',
      title: 'a client that asked for it is told, and sees how its processes end',
      covers: ['initialize', 'environment/draining', 'environment/status', 'process/start', 'process/closed'],
      run: async (context) => {
        const executor = await context.own();
        const client = await context.connect(executor);
        const notifications = ['environment/draining', 'no/such'];
        await client.call('initialize', { clientName: 'end', notifications });
        client.notify('initialized');
        const view = await client.shell(stubborn, { pipeStdin: true, stopGraceMs: 20_000 });
        await client.output(view, 'stdout', 'ready\n');
        executor.shutDown();
        await client.output(view, 'stdout', 'told\n');
        expect(client.covered).toContain('environment/draining');
        expect(await client.call('environment/status')).toEqual({ status: 'draining' });
        const start = client.startParams({ argv: ['/bin/true'] });
        const refusal = await client.refused('process/start', start);
        expect(refusal).toMatchObject({ code: -32011, data: { kind: 'draining' } });
        await client.call('process/write', { processId: view.id, chunk: btoa('go\n') });
        expect((await client.end(view)).exited).toMatchObject({ exitCode: 3, endReason: 'shutdown' });
        await client.ended();
      },
    },
    {
      id: 'DRN-2',
      title: 'a client that did not ask is not told',
      covers: ['process/start', 'process/closed'],
      run: async (context) => {
        const executor = await context.own();
        const client = await context.open(executor);
        const view = await client.shell('echo ready; exec sleep 600');
        await client.output(view, 'stdout', 'ready\n');
        executor.shutDown();
        expect((await client.end(view)).exited).toMatchObject({ signal: 'SIGTERM', endReason: 'shutdown' });
        await client.ended();
        expect(client.covered).not.toContain('environment/draining');
      },
    },
  ],
};
