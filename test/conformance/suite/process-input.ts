import { expect } from 'vitest';

import { eventually } from '../../support/conformance-leftovers.ts';
import { type WireClient, base64 } from '../../support/conformance-wire.ts';
import type { ProcessView } from '../../support/conformance-view.ts';
import type { Topic } from '../case.ts';

async function startCat(client: WireClient): Promise<ProcessView> {
  return client.start({ argv: ['/bin/cat'], pipeStdin: true });
}

async function write(client: WireClient, { id }: ProcessView, data: string | Uint8Array): Promise<string> {
  const { status } = await client.call('process/write', { processId: id, chunk: base64(data) });
  return status;
}

export const processInput: Topic = {
  name: 'input of a process',
  cases: [
    {
      id: 'IN-1',
      title: 'every byte goes through a process and back',
      covers: ['process/write', 'process/closeStdin', 'process/output'],
      run: async (context) => {
        const client = await context.open();
        const view = await startCat(client);
        const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
        expect(await write(client, view, bytes)).toBe('accepted');
        expect(await write(client, view, '')).toBe('accepted');
        await client.call('process/closeStdin', { processId: view.id });
        await client.end(view);
        expect(view.bytes('stdout')).toEqual(bytes);
        expect(view.exited).toMatchObject({ exitCode: 0, endReason: 'exited' });
      },
    },
    {
      id: 'IN-2',
      title: 'writes that are sent without waiting keep their order',
      covers: ['process/write', 'process/closeStdin'],
      run: async (context) => {
        const client = await context.open();
        const view = await startCat(client);
        const lines = Array.from({ length: 400 }, (_, index) => `${index} ${'x'.repeat(index * 10)}\n`);
        const written = lines.map(async (line) => write(client, view, line));
        const closed = client.call('process/closeStdin', { processId: view.id });
        expect(new Set(await Promise.all(written))).toEqual(new Set(['accepted']));
        expect(await closed).toEqual({ status: 'accepted' });
        await client.end(view);
        expect(view.text('stdout')).toBe(lines.join(''));
      },
    },
    {
      id: 'IN-3',
      title: 'a write with a known id is answered and not written, also when the process has ended',
      covers: ['process/write'],
      run: async (context) => {
        const client = await context.open();
        const view = await startCat(client);
        const first = { processId: view.id, chunk: base64('one\n'), writeId: 'w-1' };
        expect(await client.call('process/write', first)).toEqual({ status: 'accepted' });
        const repeated = { status: 'accepted', duplicate: true };
        expect(await client.call('process/write', first)).toEqual(repeated);
        expect(await client.call('process/write', { ...first, chunk: base64('other\n') })).toEqual(repeated);
        const both = { ...first, chunk: base64('two\n'), writeId: 'w-2' };
        const answers = [1, 2].map(async () => client.call('process/write', both));
        expect(await Promise.all(answers)).toEqual([{ status: 'accepted' }, repeated]);
        await client.output(view, 'stdout', 'two\n');
        await client.call('process/signal', { processId: view.id, signal: 'TERM' });
        await client.end(view);
        expect(await client.call('process/write', first)).toEqual(repeated);
        expect(view.text('stdout')).toBe('one\ntwo\n');
      },
    },
    {
      id: 'IN-4',
      title: 'write ids belong to their process, and a write may go without one',
      covers: ['process/write'],
      run: async (context) => {
        const client = await context.open();
        const [one, other] = [await startCat(client), await startCat(client)];
        for (const { id } of [one, other])
          await client.call('process/write', { processId: id, chunk: base64('x'), writeId: '1' });
        for (const _ of [1, 2]) await write(client, one, 'y');
        await client.output(one, 'stdout', 'xyy');
        await client.output(other, 'stdout', 'x');
        for (const { id } of [one, other]) await client.call('process/terminate', { processId: id });
      },
    },
    {
      id: 'IN-5',
      title: 'the last 4096 write ids are remembered',
      covers: ['process/write'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/cat'], pipeStdin: true });
        const send = async (writeId: number): Promise<unknown> =>
          client.call('process/write', { processId: view.id, chunk: '', writeId: String(writeId) });
        await Promise.all(Array.from({ length: 4097 }, async (_, index) => send(index)));
        expect(await send(1)).toEqual({ status: 'accepted', duplicate: true });
        expect(await send(4096)).toEqual({ status: 'accepted', duplicate: true });
        expect(await send(0)).toEqual({ status: 'accepted' });
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'IN-6',
      title: 'a write says where there is nothing to write to',
      covers: ['process/write', 'process/closeStdin'],
      run: async (context) => {
        const client = await context.open();
        const closed = await client.shell('read x; sleep 600');
        expect(await write(client, closed, 'x')).toBe('stdinClosed');
        expect(await client.call('process/closeStdin', { processId: closed.id })).toEqual({
          status: 'stdinClosed',
        });
        expect(await client.call('process/write', { processId: 'nobody', chunk: '' })).toEqual({
          status: 'unknownProcess',
        });
        expect(await client.call('process/closeStdin', { processId: 'nobody' })).toEqual({
          status: 'unknownProcess',
        });
        await client.call('process/terminate', { processId: closed.id });
      },
    },
    {
      id: 'IN-7',
      title: 'a write to a process that has ended by itself is accepted and said to be discarded',
      covers: ['process/write'],
      run: async (context) => {
        const client = await context.open();
        for (const tty of [false, true]) {
          const view = await client.run({ argv: ['/bin/true'], pipeStdin: true, tty });
          const answer = await client.call('process/write', { processId: view.id, chunk: base64('x') });
          expect(answer).toEqual({ status: 'accepted', discarded: true });
        }
      },
    },
    {
      id: 'IN-8',
      title: 'a write to a process that was terminated is an error',
      covers: ['process/write', 'process/terminate'],
      run: async (context) => {
        const client = await context.open();
        const view = await startCat(client);
        await client.call('process/terminate', { processId: view.id });
        const error = await client.refused('process/write', { processId: view.id, chunk: '' });
        expect(error.code).toBe(-32603);
        expect(error.message).toMatch(/terminated/);
      },
    },
    {
      id: 'IN-9',
      title: 'writes to a process that has closed its input are accepted and said to be discarded',
      covers: ['process/write'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell('exec <&-; echo closed; sleep 600', { pipeStdin: true });
        await client.output(view, 'stdout', 'closed\n');
        await eventually('a discarded write', async () => {
          const answer = await client.call('process/write', { processId: view.id, chunk: base64('x') });
          expect(answer.status).toBe('accepted');
          return answer.discarded;
        });
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'IN-10',
      title: 'closeStdin ends the input of a process once, after everything written before',
      covers: ['process/closeStdin', 'process/write'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell('cat; echo end; sleep 600', { pipeStdin: true });
        await write(client, view, 'input ');
        expect(await client.call('process/closeStdin', { processId: view.id })).toEqual({
          status: 'accepted',
        });
        await client.output(view, 'stdout', /^input end\n$/);
        expect(await client.call('process/closeStdin', { processId: view.id })).toEqual({
          status: 'stdinClosed',
        });
        expect(await write(client, view, 'late')).toBe('stdinClosed');
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'IN-11',
      title: 'closeStdin on a PTY types its end of file, on an empty line and on one that has begun',
      covers: ['process/closeStdin', 'process/write'],
      run: async (context) => {
        const client = await context.open();
        for (const input of ['', 'line\n', 'line\nbegun']) {
          const view = await client.start({ argv: ['/bin/cat'], tty: true });
          if (input !== '') await write(client, view, input);
          expect(await client.call('process/closeStdin', { processId: view.id })).toEqual({
            status: 'accepted',
          });
          const { exitCode } = await client.exit(view);
          expect(exitCode, JSON.stringify(input)).toBe(0);
          await client.end(view);
        }
      },
    },
    {
      id: 'IN-12',
      title: 'a PTY takes further input after an end of file',
      covers: ['process/closeStdin', 'process/write'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell('cat; echo first; cat; echo second', { tty: true });
        await client.call('process/closeStdin', { processId: view.id });
        await client.output(view, 'pty', 'first\r\n');
        expect(await write(client, view, 'more\n')).toBe('accepted');
        await client.output(view, 'pty', 'more\r\nmore\r\n');
        await client.call('process/closeStdin', { processId: view.id });
        await client.end(view);
        expect(view.text('pty')).toMatch(/second\r\n$/);
      },
    },
    {
      id: 'IN-13',
      title: 'control characters that are written to a PTY act as keys',
      covers: ['process/write'],
      run: async (context) => {
        const client = await context.open();
        const interrupted = await client.start({ argv: ['/bin/cat'], tty: true });
        await write(client, interrupted, 'x\n');
        await client.output(interrupted, 'pty', 'x\r\nx\r\n');
        await write(client, interrupted, '\x03');
        await client.end(interrupted);
        expect(interrupted.exited).toMatchObject({ exitCode: 130, signal: 'SIGINT', endReason: 'signaled' });
        const ended = await client.start({ argv: ['/bin/cat'], tty: true });
        await write(client, ended, '\x04');
        await client.end(ended);
        expect(ended.exited?.exitCode).toBe(0);
      },
    },
    {
      id: 'IN-14',
      title: 'resize sets the size of the PTY and sends SIGWINCH',
      covers: ['process/resize'],
      needs: ['stty'],
      run: async (context) => {
        const client = await context.open();
        const script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
        const view = await client.shell(script, { tty: true });
        await client.output(view, 'pty', 'ready\r\n');
        const answer = await client.request('process/resize', {
          processId: view.id,
          size: { rows: 50, cols: 132 },
        });
        expect(answer.result).toEqual({});
        await client.output(view, 'pty', '50 132\r\n');
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'IN-15',
      title: 'resize is refused for a process without a PTY and for none, and ignored for one that has ended',
      covers: ['process/resize'],
      run: async (context) => {
        const client = await context.open();
        const size = { rows: 50, cols: 132 };
        const pipe = await startCat(client);
        expect((await client.refused('process/resize', { processId: pipe.id, size })).code).toBe(-32600);
        expect((await client.refused('process/resize', { processId: 'nobody', size })).code).toBe(-32600);
        const ended = await client.run({ argv: ['/bin/true'], tty: true });
        expect(await client.call('process/resize', { processId: ended.id, size })).toEqual({});
        await client.call('process/terminate', { processId: pipe.id });
      },
    },
    {
      id: 'IN-16',
      title: 'a process that does not read holds up its own writes and nothing else',
      covers: ['process/write', 'process/signal', 'process/list', 'process/terminate', 'environment/status'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/sleep', '600'], pipeStdin: true });
        const chunk = base64(Buffer.alloc(64 * 1024, 'x'));
        const answered: unknown[] = [];
        const writes = Array.from({ length: 48 }, async () => {
          answered.push((await client.request('process/write', { processId: view.id, chunk })).result);
        });
        expect(await client.call('environment/status')).toEqual({ status: 'ready' });
        expect((await client.call('process/list')).processes).toHaveLength(1);
        expect(await client.call('process/signal', { processId: view.id, signal: 'CONT' })).toEqual({
          delivered: true,
        });
        expect(answered.length).toBeLessThan(writes.length);
        expect(await client.call('process/terminate', { processId: view.id })).toEqual({ running: true });
        await Promise.all(writes);
        await client.end(view);
        expect(answered.at(0)).toEqual({ status: 'accepted' });
        expect(answered.at(-1)).toEqual({ status: 'accepted', discarded: true });
      },
    },
    {
      id: 'IN-17',
      title: 'input that waits for a slow reader arrives whole',
      covers: ['process/write', 'process/closeStdin'],
      run: async (context) => {
        const client = await context.open();
        const folder = await context.folder();
        const view = await client.shell('until [ -e gate ]; do sleep 0.05; done; cksum', { pipeStdin: true });
        const chunk = base64(Buffer.alloc(64 * 1024, 'x'));
        const writes = Array.from({ length: 64 }, async () =>
          client.call('process/write', { processId: view.id, chunk }),
        );
        const closed = client.call('process/closeStdin', { processId: view.id });
        await client.run({ argv: ['/usr/bin/touch', `${folder}/gate`] });
        await Promise.all(writes);
        expect(await closed).toEqual({ status: 'accepted' });
        await client.end(view);
        expect(view.text('stdout')).toMatch(new RegExp(`^\\d+ ${64 * 64 * 1024}\n$`));
      },
    },
    {
      id: 'IN-18',
      title: 'more waiting input than 64 MiB is refused, and the connection goes on',
      covers: ['process/write', 'process/terminate'],
      over: ['memory', 'websocket', 'rendezvous'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.start({ argv: ['/bin/sleep', '600'], pipeStdin: true });
        const chunk = base64(Buffer.alloc(8 * 1024 * 1024));
        const answers = Array.from({ length: 10 }, async () =>
          client.request('process/write', { processId: view.id, chunk }),
        );
        const refused = await Promise.race(
          answers.map(async (answer) => {
            const { error } = await answer;
            return error ?? new Promise<never>(() => {});
          }),
        );
        expect(refused).toMatchObject({ code: -32011 });
        await client.call('process/terminate', { processId: view.id });
        await Promise.all(answers);
      },
    },
    {
      id: 'IN-19',
      title: 'a program on a PTY that ends at the end of its input ends by itself, every time',
      covers: ['process/closeStdin', 'process/exited'],
      run: async (context) => {
        const client = await context.open();
        const ends = new Set<string>();
        for (let round = 0; round < 40; round++) {
          const views = [1, 2, 3, 4, 5].map(async () => {
            // It closes its streams itself before it exits: the terminal must not hang up on it.
            const view = await client.start({ argv: ['/bin/cat'], tty: true });
            await client.call('process/closeStdin', { processId: view.id });
            const { exitCode, endReason } = await client.exit(view);
            ends.add(`${exitCode} ${endReason}`);
            await client.end(view);
          });
          await Promise.all(views);
        }
        expect([...ends]).toEqual(['0 exited']);
      },
    },
    {
      id: 'IN-20',
      title: 'a program on a PTY may close its terminal and go on',
      covers: ['process/start', 'process/exited'],
      run: async (context) => {
        const client = await context.open();
        const script = 'exec <&- >&- 2>&-; sleep 0.3; exit 5';
        const view = await client.runShell(script, { tty: true });
        expect(view.exited).toMatchObject({ exitCode: 5, signal: null, endReason: 'exited' });
      },
    },
  ],
};
