import { writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';

import { expect } from 'vitest';

import type { Topic } from '../case.ts';

/** A shell that says who it is and what it got, with a child of the same kind in its group. */
const family = `
trap 'echo parent; exit 41' USR1
sh -c 'trap "echo child; exit 42" USR1; echo ready; while :; do sleep 0.05; done'
echo "child ended with $?"`;

export const processEnd: Topic = {
  name: 'end of a process',
  cases: [
    {
      id: 'END-1',
      title: 'an exit code is what the program gave',
      covers: ['process/exited'],
      run: async (context) => {
        const client = await context.open();
        for (const tty of [false, true]) {
          for (const code of [0, 1, 2, 126, 127, 128, 255]) {
            const view = await client.runShell(`exit ${code}`, { tty });
            expect(view.exited).toEqual({
              processId: view.id,
              seq: 1,
              exitCode: code,
              sandboxDenied: false,
              signal: null,
              endReason: 'exited',
              usage: { userCpuMs: expect.any(Number), systemCpuMs: expect.any(Number) },
            });
          }
        }
      },
    },
    {
      id: 'END-2',
      title: 'an exit code is 128 and the number where a signal ended the program, with pipes and on a PTY',
      covers: ['process/exited', 'process/read'],
      run: async (context) => {
        const client = await context.open();
        for (const tty of [false, true]) {
          for (const signal of ['SIGHUP', 'SIGINT', 'SIGKILL', 'SIGTERM', 'SIGUSR1', 'SIGPIPE'] as const) {
            const ending = {
              exitCode: 128 + constants.signals[signal],
              signal,
              endReason: 'signaled',
            };
            const view = await client.runShell(`kill -${signal.slice(3)} $$; sleep 600`, { tty });
            expect(view.exited, signal).toMatchObject(ending);
            const read = await client.call('process/read', { processId: view.id });
            expect(read, signal).toMatchObject({ ...ending, exited: true, closed: true });
          }
        }
      },
    },
    {
      id: 'END-3',
      title: 'process/signal takes interrupt and names of signals, with and without SIG, in any case',
      covers: ['process/signal', 'process/exited'],
      run: async (context) => {
        const client = await context.open();
        for (const [signal, code] of [
          ['interrupt', 130],
          ['TERM', 143],
          ['sigterm', 143],
          ['SIGKILL', 137],
          ['hup', 129],
        ] as const) {
          for (const tty of [false, true]) {
            const view = await client.start({ argv: ['/bin/sleep', '600'], tty });
            const sent = await client.call('process/signal', { processId: view.id, signal });
            expect(sent).toEqual({ delivered: true });
            expect(await client.exit(view)).toMatchObject({ exitCode: code, endReason: 'signaled' });
            await client.end(view);
          }
        }
      },
    },
    {
      id: 'END-4',
      title: 'process/signal refuses what is no signal',
      covers: ['process/signal'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        for (const signal of ['', 'terminate', 'SIGNOPE', '9', '__proto__', 'SIG'])
          expect((await client.refused('process/signal', { processId: view.id, signal })).code).toBe(-32602);
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'END-5',
      title: 'process/signal says that nobody got it where no such process runs',
      covers: ['process/signal'],
      run: async (context) => {
        const client = await context.open();
        const ended = await client.run({ argv: ['/bin/true'] });
        for (const processId of ['nobody', ended.id]) {
          const answer = await client.request('process/signal', { processId, signal: 'interrupt' });
          expect(answer.result).toEqual({ delivered: false });
        }
      },
    },
    {
      id: 'END-6',
      title: 'a signal reaches the whole group of the process',
      covers: ['process/signal'],
      run: async (context) => {
        const client = await context.open();
        for (const tty of [false, true]) {
          const view = await client.shell(family, { tty });
          await client.output(view, tty ? 'pty' : 'stdout', 'ready');
          await client.call('process/signal', { processId: view.id, signal: 'USR1' });
          await client.end(view);
          const text = view.text(tty ? 'pty' : 'stdout');
          expect(text).toContain('parent');
          expect(text).toContain('child');
          expect(view.exited).toMatchObject({ exitCode: 41, endReason: 'exited' });
        }
      },
    },
    {
      id: 'END-7',
      title: 'an interrupt reaches parent and child alike',
      covers: ['process/signal'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell(family.replaceAll('USR1', 'INT'));
        await client.output(view, 'stdout', 'ready');
        await client.call('process/signal', { processId: view.id, signal: 'interrupt' });
        await client.end(view);
        expect(view.text('stdout')).toMatch(/^ready\n(?:.*\n)*child\n/);
        expect(view.text('stdout')).toContain('parent\n');
      },
    },
    {
      id: 'END-8',
      title: 'a signal with the scope process reaches the program alone',
      covers: ['process/signal'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell(
          `trap 'echo parent' USR1
          sh -c 'trap "echo child" USR1; echo ready; until [ -e gate ]; do sleep 0.05; done'`,
        );
        await client.output(view, 'stdout', 'ready\n');
        const sent = { processId: view.id, signal: 'SIGUSR1', scope: 'process' } as const;
        expect(await client.call('process/signal', sent)).toEqual({ delivered: true });
        await writeFile(path.join(await context.folder(), 'gate'), '');
        await client.end(view);
        expect(view.text('stdout')).toBe('ready\nparent\n');
      },
    },
    {
      id: 'END-9',
      title: 'a process can be stopped and go on',
      covers: ['process/signal'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        await client.call('process/signal', { processId: view.id, signal: 'STOP' });
        await client.call('process/write', { processId: view.id, chunk: 'eAo=' });
        const read = await client.call('process/read', { processId: view.id, waitMs: 200 });
        expect(read).toMatchObject({ chunks: [], exited: false });
        await client.call('process/signal', { processId: view.id, signal: 'CONT' });
        await client.output(view, 'stdout', 'x\n');
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'END-10',
      title: 'closed waits for a descendant that still writes, and its output arrives',
      covers: ['process/exited', 'process/closed', 'process/list'],
      run: async (context) => {
        const client = await context.open();
        const script =
          '(until [ -e gate ]; do sleep 0.05; done; echo late; echo later >&2) & echo early; exit 6';
        const view = await client.shell(script);
        expect(await client.exit(view)).toMatchObject({ exitCode: 6 });
        const { processes } = await client.call('process/list');
        expect(processes).toMatchObject([{ processId: view.id, state: 'exited', exitCode: 6 }]);
        expect(view.closed).toBeUndefined();
        await writeFile(path.join(await context.folder(), 'gate'), '');
        await client.end(view);
        expect(view.text('stdout')).toBe('early\nlate\n');
        expect(view.text('stderr')).toBe('later\n');
        expect(view.closed).toMatchObject({ streamsEnded: true, bytes: { stdout: 11, stderr: 6 } });
      },
    },
    {
      id: 'END-11',
      title: 'usage is the processor time of the process and of what it has waited for',
      covers: ['process/exited'],
      run: async (context) => {
        const client = await context.open();
        const burn = 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done';
        for (const script of [burn, `sh -c '${burn}'; exit 0`]) {
          const view = await client.runShell(script);
          expect(view.exited?.usage?.userCpuMs).toBeGreaterThan(20);
          expect(view.exited?.usage?.userCpuMs).toBeLessThan(60_000);
          expect(view.exited?.usage?.systemCpuMs).toBeGreaterThanOrEqual(0);
        }
      },
    },
    {
      id: 'END-12',
      title: 'process/list tells what runs, and what is closed where asked',
      covers: ['process/list'],
      run: async (context) => {
        const client = await context.open();
        const ended = await client.runShell('kill -TERM $$; sleep 600', { processId: 'ended' });
        const running = await client.shell('echo $$; read x', { processId: 'running', tty: true });
        const [, pid] = await client.output(running, 'pty', /^(\d+)\r\n/);
        const one = {
          processId: 'running',
          state: 'running',
          tty: true,
          pid: Number(pid),
          startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          nextSeq: 2,
          exitCode: null,
          signal: null,
          endReason: null,
        };
        const other = {
          processId: 'ended',
          state: 'closed',
          tty: false,
          pid: expect.any(Number),
          startedAt: expect.any(String),
          nextSeq: (ended.closed?.seq ?? 0) + 1,
          exitCode: 143,
          signal: 'SIGTERM',
          endReason: 'signaled',
        };
        for (const params of [undefined, null, {}, { includeClosed: false }]) {
          const { result } = await client.request('process/list', params);
          expect(result).toEqual({ processes: [one] });
        }
        const { result } = await client.request('process/list', { includeClosed: true });
        expect(result).toEqual({ processes: [other, one] });
        await client.call('process/terminate', { processId: 'running' });
      },
    },
  ],
};
