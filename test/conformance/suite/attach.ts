import { createHmac } from 'node:crypto';

import { expect } from 'vitest';

import type { AttachRole } from '../../../src/protocol/attach.ts';
import type { Event, Result } from '../../../src/protocol/methods.ts';
import type { WireClient } from '../../support/conformance-wire.ts';
import type { Context, Topic } from '../case.ts';
import { drop } from './sessions.ts';

interface Home {
  readonly client: WireClient;
  readonly sessionId: string;
  /** What the session's client would give to somebody else. */
  readonly key: (role: AttachRole, processId?: string) => string;
}

async function home(context: Context): Promise<Home> {
  const client = await context.connect();
  const { sessionId, sessionSecret = '' } = await client.handshake();
  return {
    client,
    sessionId,
    key: (role, processId = 'p') =>
      createHmac('sha256', sessionSecret).update(`attach\n${role}\n${processId}`).digest('base64url'),
  };
}

async function attach(
  client: WireClient,
  { sessionId, key }: Home,
  role: AttachRole,
  localId = 'there',
  afterSeq = 0,
): Promise<Result<'process/attach'>> {
  return client.call('process/attach', {
    processId: 'p',
    sessionId,
    key: key(role),
    role,
    localId,
    afterSeq,
  });
}

type Change = Event<'process/attachments'>;

function changes(client: WireClient): Change[] {
  return client.texts
    .map((text) => JSON.parse(text))
    .filter(({ method }) => method === 'process/attachments')
    .map(({ params }) => params as Change);
}

async function changed(client: WireClient, wanted: (change: Change) => boolean): Promise<Change> {
  return client.waitFor('a change of the attachments', () => changes(client).find(wanted));
}

const cat = { processId: 'p', argv: ['/bin/cat'], pipeStdin: true };

export const attaching: Topic = {
  name: 'attaching to a process',
  cases: [
    {
      id: 'ATT-1',
      title: 'several connections see one process, each from its own cursor',
      covers: ['process/attach', 'process/output', 'process/closed', 'process/attachments'],
      over: 'shared',
      run: async (context) => {
        const one = await home(context);
        await one.client.start(cat);
        await one.client.call('process/write', { processId: 'p', chunk: 'b25lCg==', writeId: '1' });
        await one.client.output(one.client.process('p'), 'stdout', 'one\n');
        const [whole, late] = [await context.open(), await context.open()];
        expect(await attach(whole, one, 'viewer')).toMatchObject({
          processId: 'there',
          role: 'viewer',
          state: 'running',
          tty: false,
          nextSeq: 2,
        });
        await attach(late, one, 'viewer', 'elsewhere', 1);
        await one.client.call('process/write', { processId: 'p', chunk: 'dHdvCg==', writeId: '2' });
        await one.client.call('process/closeStdin', { processId: 'p' });
        const views = [whole.process('there'), late.process('elsewhere'), one.client.process('p')];
        for (const [index, client] of [whole, late, one.client].entries())
          await client.end(views[index] ?? client.process(''));
        expect(views.map((view) => view.text('stdout'))).toEqual(['one\ntwo\n', 'two\n', 'one\ntwo\n']);
      },
    },
    {
      id: 'ATT-2',
      title: 'without the key for the process and the role nobody attaches, and nobody is told what there is',
      covers: ['process/attach'],
      over: 'shared',
      run: async (context) => {
        const one = await home(context);
        await one.client.start(cat);
        const { sessionId } = one;
        const stranger = await context.open();
        const wrong = [
          { sessionId, processId: 'p', role: 'viewer' },
          { sessionId, processId: 'p', role: 'viewer', key: '' },
          { sessionId, processId: 'p', role: 'owner', key: one.key('viewer') },
          { sessionId, processId: 'p', role: 'viewer', key: one.key('viewer', 'q') },
          { sessionId, processId: 'q', role: 'viewer', key: one.key('viewer', 'q') },
          { sessionId: 'no such session', processId: 'p', role: 'viewer', key: one.key('viewer') },
        ];
        const texts = new Set<string>();
        for (const params of wrong) {
          const { code, message } = await stranger.refused('process/attach', params);
          expect(code).toBe(-32004);
          texts.add(message);
        }
        expect(texts.size).toBe(1);
        await one.client.call('process/terminate', { processId: 'p' });
      },
    },
    {
      id: 'ATT-3',
      title: 'a role allows what it says',
      covers: [
        'process/attach',
        'process/read',
        'process/write',
        'process/signal',
        'process/terminate',
        'process/closeStdin',
      ],
      over: 'shared',
      run: async (context) => {
        const one = await home(context);
        await one.client.start(cat);
        const other = await context.open();
        const target = { processId: 'there' };
        await attach(other, one, 'viewer');
        expect((await other.call('process/read', target)).exited).toBe(false);
        for (const [method, more] of Object.entries({
          'process/write': { chunk: 'eAo=' },
          'process/closeStdin': {},
          'process/signal': { signal: 'INT' },
          'process/terminate': {},
        })) {
          expect((await other.refused(method, { ...target, ...more })).code, method).toBe(-32600);
        }
        await attach(other, one, 'writer');
        expect(await other.call('process/write', { ...target, chunk: 'eAo=' })).toEqual({
          status: 'accepted',
        });
        await other.output(other.process('there'), 'stdout', 'x\n');
        expect((await other.refused('process/terminate', target)).code).toBe(-32600);
        await attach(other, one, 'owner', 'there', 1);
        expect(await other.call('process/terminate', target)).toMatchObject({ running: true });
        await one.client.end(one.client.process('p'));
      },
    },
    {
      id: 'ATT-4',
      title:
        'a hand-over is told to everybody, and the process comes back to its session when the owner leaves',
      covers: ['process/attach', 'process/detach', 'process/attachments', 'process/signal'],
      over: 'shared',
      run: async (context) => {
        const one = await home(context);
        await one.client.start(cat);
        const [viewer, owner] = [await context.open(), await context.open()];
        await attach(viewer, one, 'viewer');
        const { attachmentId } = await attach(owner, one, 'owner');
        for (const client of [one.client, viewer, owner]) {
          const change = await changed(client, ({ cause }) => cause === 'handedOver');
          expect(change.attachments.filter(({ role }) => role === 'owner')).toEqual([
            { attachmentId, role: 'owner' },
          ]);
          expect(change.attachments).toHaveLength(3);
        }
        expect((await one.client.refused('process/signal', { processId: 'p', signal: 'INT' })).code).toBe(
          -32600,
        );
        await drop(owner);
        const back = await changed(
          one.client,
          ({ cause, attachments }) => cause === 'handedOver' && attachments.length === 2,
        );
        expect(back.attachments).toContainEqual({ attachmentId: back.attachmentId, role: 'owner' });
        await viewer.call('process/detach', { processId: 'there' });
        expect((await viewer.refused('process/read', { processId: 'there' })).code).toBe(-32600);
        expect(await one.client.call('process/signal', { processId: 'p', signal: 'KILL' })).toEqual({
          delivered: true,
        });
        const view = await one.client.end(one.client.process('p'));
        expect(view.exited).toMatchObject({ signal: 'SIGKILL' });
        expect(viewer.process('there').closed).toBeUndefined();
      },
    },
    {
      id: 'ATT-5',
      title: 'the size follows the policy of the start: the latest, the owner, or the smallest',
      covers: ['process/attach', 'process/resize', 'process/attachments'],
      over: 'shared',
      needs: ['stty'],
      run: async (context) => {
        const sizes = { latest: '50 60', owner: '30 100', smallest: '30 60' };
        for (const [resizePolicy, wanted] of Object.entries(sizes)) {
          const one = await home(context);
          const size = { rows: 30, cols: 100 };
          const script = 'stty -echo; echo ready; while read x; do stty size; done';
          const policy = { resizePolicy: resizePolicy as 'latest' };
          const view = await one.client.shell(script, { processId: 'p', tty: true, size, ...policy });
          await one.client.output(view, 'pty', 'ready');
          const other = await context.open();
          expect(await attach(other, one, 'writer')).toMatchObject(policy);
          await other.call('process/resize', { processId: 'there', size: { rows: 50, cols: 60 } });
          const [rows = 0, cols = 0] = wanted.split(' ').map(Number);
          const change = await changed(one.client, ({ cause }) => cause === 'resized');
          expect(change.size, resizePolicy).toEqual({ rows, cols });
          await one.client.call('process/write', { processId: 'p', chunk: 'Cg==' });
          await one.client.output(view, 'pty', `${wanted}\r\n`);
          await one.client.call('process/terminate', { processId: 'p' });
        }
      },
    },
    {
      id: 'ATT-6',
      title: 'a viewer resizes only where the smallest size counts',
      covers: ['process/attach', 'process/resize'],
      over: 'shared',
      run: async (context) => {
        for (const [resizePolicy, allowed] of [
          ['latest', false],
          ['owner', false],
          ['smallest', true],
        ] as const) {
          const one = await home(context);
          await one.client.start({ processId: 'p', argv: ['/bin/cat'], tty: true, resizePolicy });
          const other = await context.open();
          await attach(other, one, 'viewer');
          const answer = await other.request('process/resize', {
            processId: 'there',
            size: { rows: 5, cols: 5 },
          });
          expect(answer.error?.code, resizePolicy).toBe(allowed ? undefined : -32600);
          await one.client.call('process/terminate', { processId: 'p' });
        }
      },
    },
    {
      id: 'ATT-7',
      title: 'an id stands for one process on a connection',
      covers: ['process/attach', 'process/start'],
      over: 'shared',
      run: async (context) => {
        const one = await home(context);
        await one.client.start(cat);
        const other = await context.open();
        await other.start({ processId: 'mine', argv: ['/bin/cat'], pipeStdin: true });
        const params = { processId: 'p', sessionId: one.sessionId, key: one.key('viewer'), role: 'viewer' };
        expect((await other.refused('process/attach', { ...params, localId: 'mine' })).message).toMatch(
          /already exists/,
        );
        await attach(other, one, 'viewer');
        expect((await other.refused('process/attach', { ...params, localId: 'again' })).code).toBe(-32600);
        const start = other.startParams({ processId: 'there', argv: ['/bin/true'] });
        expect((await other.refused('process/start', start)).message).toMatch(/already exists/);
        for (const [client, processId] of [
          [one.client, 'p'],
          [other, 'mine'],
        ] as const) {
          await client.call('process/terminate', { processId });
        }
      },
    },
    {
      id: 'ATT-8',
      title: 'a connection leaves a process of its own session, and comes back to it from any cursor',
      covers: ['process/attach', 'process/detach', 'process/write'],
      run: async (context) => {
        const client = await context.open();
        await client.start(cat);
        await client.call('process/detach', { processId: 'p' });
        await client.call('process/write', { processId: 'p', chunk: 'b25lCg==' });
        const read = await client.call('process/read', { processId: 'p', waitMs: 30_000 });
        expect(read.chunks).toHaveLength(1);
        expect(client.process('p').chunks).toEqual([]);
        const answer = await client.call('process/attach', { processId: 'p', afterSeq: 0 });
        expect(answer).toMatchObject({ processId: 'p', role: 'owner', nextSeq: 2 });
        await client.output(client.process('p'), 'stdout', 'one\n');
        for (const method of ['process/attach', 'process/detach'])
          expect((await client.refused(method, { processId: 'unknown' })).code).toBe(-32600);
        await client.call('process/terminate', { processId: 'p' });
      },
    },
    {
      id: 'ATT-9',
      title: 'a connection that does not read slows no other one',
      covers: ['process/attach', 'process/output', 'process/closed'],
      over: 'shared',
      run: async (context) => {
        const one = await home(context);
        const script = 'read x; exec head -c 20000000 /dev/zero';
        await one.client.shell(script, { processId: 'p', pipeStdin: true });
        const [deaf, keen] = [await context.open(), await context.open()];
        for (const client of [deaf, keen]) await attach(client, one, 'viewer');
        deaf.transport.pause();
        await one.client.call('process/write', { processId: 'p', chunk: 'Cg==' });
        for (const [client, id] of [
          [keen, 'there'],
          [one.client, 'p'],
        ] as const) {
          expect((await client.end(client.process(id))).bytes('stdout').length).toBe(20_000_000);
        }
        deaf.transport.resume();
        expect((await deaf.end(deaf.process('there'))).bytes('stdout').length).toBe(20_000_000);
      },
    },
    {
      id: 'ATT-10',
      title: 'a viewer is told the end of a process whose session has expired',
      covers: ['process/attach', 'process/exited', 'process/closed', 'process/attachments'],
      over: ['memory'],
      run: async (context) => {
        const executor = await context.own({ detachedSessionMs: 300 });
        const client = await context.connect(executor);
        const { sessionId, sessionSecret = '' } = await client.handshake();
        await client.start(cat);
        const viewer = await context.open(executor);
        const key = createHmac('sha256', sessionSecret).update('attach\nviewer\np').digest('base64url');
        await viewer.call('process/attach', { processId: 'p', sessionId, role: 'viewer', key });
        await drop(client);
        const view = await viewer.end(viewer.process('p'));
        expect(view.exited).toMatchObject({ endReason: 'sessionEnded' });
        expect(changes(viewer).map(({ cause }) => cause)).toEqual(['attached', 'detached']);
      },
    },
  ],
};
