import { expect } from 'vitest';

import { isRunning, untilGone } from '../../support/conformance-leftovers.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import type { Topic } from '../case.ts';

/** Says when TERM is caught, and how: a trap that was not set up yet would end the shell. */
function trapping(action: string): string {
  return `trap '${action}' TERM; echo ready; while :; do sleep 0.05; done`;
}

async function stateOf(client: WireClient, processId: string): Promise<string | undefined> {
  const { processes } = await client.call('process/list', { includeClosed: true });
  return processes.find((process) => process.processId === processId)?.state;
}

export const processStop: Topic = {
  name: 'process/terminate and timeoutMs',
  cases: [
    {
      id: 'TERM-1',
      title: 'terminate kills at once, and answers when the process is gone',
      covers: ['process/terminate', 'process/exited', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        for (const tty of [false, true]) {
          const view = await client.shell(trapping('echo trapped; exit 0'), { tty });
          await client.output(view, tty ? 'pty' : 'stdout', 'ready');
          const answer = await client.request('process/terminate', { processId: view.id });
          expect(answer.result).toEqual({ running: true });
          expect(['exited', 'closed']).toContain(await stateOf(client, view.id));
          expect(await client.call('process/terminate', { processId: view.id })).toEqual({ running: false });
          await client.end(view);
          expect(view.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL', endReason: 'terminated' });
          expect(view.text(tty ? 'pty' : 'stdout')).not.toContain('trapped');
          expect(view.closed?.streamsEnded).toBe(true);
        }
      },
    },
    {
      id: 'TERM-2',
      title: 'terminate answers that nothing ran where there is no such process or it has ended',
      covers: ['process/terminate'],
      run: async (context) => {
        const client = await context.open();
        const ended = await client.run({ argv: ['/bin/true'] });
        for (const processId of ['nobody', ended.id]) {
          for (const graceMs of [undefined, null, 0, 5000]) {
            const answer = await client.request('process/terminate', { processId, graceMs });
            expect(answer.result).toEqual({ running: false });
          }
        }
      },
    },
    {
      id: 'TERM-3',
      title: 'terminate with a grace lets the process end by itself',
      covers: ['process/terminate'],
      run: async (context) => {
        const client = await context.open();
        for (const [tty, stream] of [
          [false, 'stdout'],
          [true, 'pty'],
        ] as const) {
          const view = await client.shell(trapping('echo trapped; exit 9'), { tty });
          await client.output(view, stream, 'ready');
          const answer = await client.call('process/terminate', { processId: view.id, graceMs: 60_000 });
          expect(answer).toEqual({ running: true });
          await client.end(view);
          expect(view.text(stream)).toMatch(/trapped\r?\n$/);
          expect(view.exited).toMatchObject({ exitCode: 9, signal: null, endReason: 'terminated' });
        }
      },
    },
    {
      id: 'TERM-4',
      title: 'terminate kills what is left when the grace is over',
      covers: ['process/terminate'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell(trapping('echo ignored'));
        await client.output(view, 'stdout', 'ready\n');
        const answer = await client.call('process/terminate', { processId: view.id, graceMs: 400 });
        expect(answer).toEqual({ running: true });
        await client.end(view);
        expect(view.text('stdout')).toBe('ready\nignored\n');
        expect(view.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL', endReason: 'terminated' });
      },
    },
    {
      id: 'TERM-5',
      title: 'a second terminate without a grace cuts the grace of the first short',
      covers: ['process/terminate'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell(trapping(':'));
        await client.output(view, 'stdout', 'ready\n');
        const patient = client.call('process/terminate', { processId: view.id, graceMs: 600_000 });
        const impatient = client.call('process/terminate', { processId: view.id });
        expect(await impatient).toEqual({ running: true });
        expect(await patient).toEqual({ running: true });
        expect((await client.end(view)).exited?.exitCode).toBe(137);
      },
    },
    {
      id: 'TERM-6',
      title: 'terminate ends the children of a process, also those that ignore TERM',
      covers: ['process/terminate'],
      run: async (context) => {
        const client = await context.open();
        for (const graceMs of [undefined, 60_000]) {
          const script = `sh -c 'trap "" TERM HUP; echo "child $$"; while :; do sleep 1; done' & trap 'exit 0' TERM; wait`;
          const view = await client.shell(script);
          const [, pid] = await client.output(view, 'stdout', /child (\d+)\n/);
          const answer = await client.call('process/terminate', { processId: view.id, graceMs });
          expect(answer).toEqual({ running: true });
          await untilGone(Number(pid));
          await client.end(view);
        }
      },
    },
    {
      id: 'TERM-7',
      title: 'terminate ends the background jobs of an interactive shell, which have groups of their own',
      covers: ['process/terminate'],
      needs: ['bash'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({
          argv: ['bash', '--norc', '--noprofile', '-i'],
          tty: true,
          pipeStdin: true,
        });
        const script = `sh -c 'trap "" HUP TERM; echo "job is $$."; while :; do sleep 1; done' &\n`;
        await client.call('process/write', {
          processId: view.id,
          chunk: Buffer.from(script).toString('base64'),
        });
        const [, pid = ''] = await client.output(view, 'pty', /job is (\d+)\./);
        expect(await isRunning(Number(pid))).toBe(true);
        const answer = await client.request('process/terminate', { processId: view.id });
        expect(answer.result).toEqual({ running: true });
        expect(await isRunning(Number(pid))).toBe(false);
        await client.end(view);
        expect(view.exited).toMatchObject({ exitCode: 137, endReason: 'terminated' });
      },
    },
    {
      id: 'TERM-8',
      title: 'terminate closes what a descendant outside the session holds open, and says so',
      covers: ['process/terminate', 'process/closed'],
      needs: ['setsid'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell(`setsid sh -c 'echo "outside $$"; exec sleep 600' & wait`);
        const [, pid = ''] = await client.output(view, 'stdout', /outside (\d+)\n/);
        try {
          const answer = await client.call('process/terminate', { processId: view.id });
          expect(answer).toEqual({ running: true });
          await client.end(view);
          expect(view.closed?.streamsEnded).toBe(false);
          expect(view.exited).toMatchObject({ exitCode: 137, endReason: 'terminated' });
          expect(await isRunning(Number(pid))).toBe(true);
          const read = await client.call('process/read', { processId: view.id });
          expect(read.closed).toBe(true);
        } finally {
          process.kill(Number(pid), 'SIGKILL');
        }
      },
    },
    {
      id: 'TERM-9',
      title: 'terminate after the exit ends the descendants that keep the process from closing',
      covers: ['process/terminate', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell(`sh -c 'echo "left $$"; exec sleep 600' & exit 8`);
        const [, pid = ''] = await client.output(view, 'stdout', /left (\d+)\n/);
        await client.exit(view);
        const answer = await client.call('process/terminate', { processId: view.id });
        expect(answer.running).toBe(false);
        await client.end(view);
        await untilGone(Number(pid));
        expect(view.exited).toMatchObject({ exitCode: 8, endReason: 'exited' });
      },
    },
    {
      id: 'TERM-10',
      title: 'output from before a terminate is delivered',
      covers: ['process/terminate', 'process/output'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell('head -c 60000 /dev/zero; printf end >&2; exec sleep 600');
        await client.output(view, 'stderr', 'end');
        await client.call('process/terminate', { processId: view.id });
        await client.end(view);
        expect(view.closed?.bytes).toEqual({ stdout: 60_000, stderr: 3 });
      },
    },
    {
      id: 'TERM-11',
      title: 'terminate right behind a start cancels it or ends what it started',
      covers: ['process/start', 'process/terminate', 'process/list'],
      run: async (context) => {
        const client = await context.open();
        for (let round = 0; round < 10; round++) {
          const processId = `round-${round}`;
          const params = client.startParams({ processId, argv: ['/bin/sleep', '600'] });
          const [start, end] = await Promise.all([
            client.request('process/start', params),
            client.request('process/terminate', { processId }),
          ]);
          expect(end.result).toEqual({ running: true });
          if (start.error === undefined) {
            await client.end(client.process(processId));
            expect(client.process(processId).exited?.endReason).toBe('terminated');
          } else {
            expect(start.error).toMatchObject({
              code: -32600,
              message: `process ${processId} start was cancelled`,
            });
            await client.run({ processId, argv: ['/bin/true'] });
          }
        }
        expect((await client.call('process/list')).processes).toEqual([]);
      },
    },
    {
      id: 'TERM-12',
      title: 'calls right behind a start wait for it',
      covers: ['process/start', 'process/read', 'process/write', 'process/signal', 'process/closeStdin'],
      run: async (context) => {
        const client = await context.open();
        const params = client.startParams({ processId: 'p', argv: ['/bin/cat'], pipeStdin: true });
        const target = { processId: 'p' };
        const answers = await Promise.all([
          client.request('process/start', params),
          client.request('process/read', target),
          client.request('process/write', { ...target, chunk: 'eAo=', writeId: '1' }),
          client.request('process/signal', { ...target, signal: 'CONT' }),
          client.request('process/closeStdin', target),
        ]);
        expect(answers.map(({ error }) => error)).toEqual(answers.map(() => undefined));
        expect(answers[2]?.result).toEqual({ status: 'accepted' });
        expect(answers[3]?.result).toEqual({ delivered: true });
        await client.end(client.process('p'));
        expect(client.process('p').text('stdout')).toBe('x\n');
      },
    },
    {
      id: 'TIME-1',
      title: 'a process that takes longer than timeoutMs gets TERM, and says that it was the time',
      covers: ['process/start', 'process/exited'],
      run: async (context) => {
        const client = await context.open();
        for (const tty of [false, true]) {
          const view = await client.run({ argv: ['/bin/sleep', '600'], timeoutMs: 200, tty });
          expect(view.exited).toMatchObject({ exitCode: 143, signal: 'SIGTERM', endReason: 'timeout' });
        }
      },
    },
    {
      id: 'TIME-2',
      title: 'a process may end by itself in the grace after timeoutMs',
      covers: ['process/start', 'process/exited'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.runShell(trapping('echo trapped; exit 12'), {
          timeoutMs: 2000,
          stopGraceMs: 60_000,
        });
        expect(view.text('stdout')).toBe('ready\ntrapped\n');
        expect(view.exited).toMatchObject({ exitCode: 12, signal: null, endReason: 'timeout' });
      },
    },
    {
      id: 'TIME-3',
      title: 'a process that ignores TERM is killed when stopGraceMs is over',
      covers: ['process/start', 'process/exited'],
      run: async (context) => {
        const client = await context.open();
        for (const stopGraceMs of [0, 300]) {
          const view = await client.runShell(trapping(':'), { timeoutMs: 1500, stopGraceMs });
          expect(view.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL', endReason: 'timeout' });
        }
      },
    },
    {
      id: 'TIME-4',
      title: 'a process that ends in time is not touched, and its end is its own',
      covers: ['process/start', 'process/exited'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.runShell('exit 3', { timeoutMs: 60_000 });
        expect(view.exited).toMatchObject({ exitCode: 3, endReason: 'exited' });
      },
    },
    {
      id: 'TIME-5',
      title: 'the output of a process that ran out of time is complete',
      covers: ['process/output', 'process/closed'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.runShell('seq 1 20000; echo end >&2; exec sleep 600', { timeoutMs: 3000 });
        expect(view.text('stdout').split('\n')).toHaveLength(20_001);
        expect(view.text('stderr')).toBe('end\n');
      },
    },
  ],
};
