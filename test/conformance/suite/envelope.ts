import { expect } from 'vitest';

import type { WireClient } from '../../support/conformance-wire.ts';
import type { Context, Topic } from '../case.ts';

/** Ids that are echoed as they were written. */
const goodIds = [
  '0',
  '1',
  '-1',
  '-5',
  '9007199254740991',
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
  '""',
  '"a"',
  '"with \\"quotes\\" and ü"',
];

const badIds = [
  'null',
  'true',
  '1.0',
  '1.5',
  '1e3',
  '9223372036854775808',
  '-9223372036854775809',
  '{}',
  '[1]',
];

const call = '"method":"environment/status"';

/** Texts that are no message; each is answered with id -1, and the connection goes on. */
const garbage: Readonly<Record<string, string>> = {
  'broken JSON': '{bad',
  'an unfinished text': '{"id":1,"method":"environment/status"',
  'an unfinished string': '{"id":1,"method":"environment',
  'a number': '7',
  'a string': '"initialize"',
  null: 'null',
  'an empty batch': '[]',
  'a batch': `[{"id":1,${call}},{"id":2,${call}}]`,
  'two messages in one': `{"id":1,${call}} {"id":2,${call}}`,
  'an empty object': '{}',
  'an id alone': '{"id":1,"params":{}}',
  'a method that is no string': '{"id":1,"method":7}',
  'a method that is null': '{"id":1,"method":null}',
  'a key twice': `{"id":1,"id":2,${call}}`,
  'a key twice deep inside': `{"id":1,${call},"params":{"a":[{"b":1,"b":2}]}}`,
  'the same key, once escaped': `{"id":1,${call},"params":{"a":1,"\\u0061":2}}`,
  NaN: `{"id":1,${call},"params":NaN}`,
  'a byte order mark': `\uFEFF{"id":1,${call}}`,
  'a trace that is no object': `{"id":1,${call},"trace":"00-1"}`,
  'a trace of other types': `{"id":1,${call},"trace":{"traceparent":7}}`,
  'a response without an id': '{"result":{}}',
  '128 containers in one another': `{"id":1,${call},"params":${'['.repeat(127)}${']'.repeat(127)}}`,
  '262145 values': `{"id":1,${call},"params":[${'0,'.repeat(262_140)}0]}`,
};

/** Messages that a client must not send; each ends its connection with the reason. */
const violations: Readonly<Record<string, string>> = {
  'an unknown notification': '{"method":"notifications/initialized"}',
  'a cancellation': '{"method":"$/cancelRequest","params":{"id":1}}',
  'initialize without an id': '{"method":"initialize","params":{"clientName":"x"}}',
  'a method of the executor as a notification': '{"method":"process/output","params":{}}',
  'a response to nothing': '{"id":1,"result":{}}',
  'an error to nothing': '{"id":1,"error":{"code":-32600,"message":"no"}}',
  'a response with a text as its id': '{"id":"x","result":null}',
};

async function expectOpen(client: WireClient): Promise<void> {
  expect(await client.call('environment/status')).toEqual({ status: 'ready' });
}

async function expectEnded(context: Context, client: WireClient, reason: RegExp): Promise<void> {
  const end = await client.ended();
  // A byte stream has no place for the reason: it ends.
  if (context.target.name === 'stdio') return;
  expect(end.kind).toBe('protocolError');
  expect(end.message).toMatch(reason);
}

export const envelope: Topic = {
  name: 'envelope',
  cases: [
    {
      id: 'ENV-1',
      title: 'a request may name any version of JSON-RPC, and no answer names one',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        for (const version of ['"2.0"', '"1.0"', '7', 'null']) {
          const answer = await client.ask(`{"jsonrpc":${version},"id":"v",${call}}`, '"v"');
          expect(JSON.parse(answer.text)).toEqual({ id: 'v', result: { status: 'ready' } });
        }
      },
    },
    {
      id: 'ENV-2',
      title: 'an id is echoed as it was written',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        for (const id of goodIds) {
          const { text } = await client.ask(`{"id":${id},${call}}`, id);
          expect(text).toContain(`"id":${id}`);
          const unknown = await client.ask(`{"method":"no/such","params":[1.5],"id": ${id} }`, id);
          expect(unknown.error?.code).toBe(-32601);
        }
      },
    },
    {
      id: 'ENV-3',
      title: 'an id that is no string and no 64-bit integer is refused',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        for (const id of badIds) {
          const { error } = await client.ask(`{"id":${id},${call}}`, '-1');
          expect(error?.code, id).toBe(-32600);
        }
        await expectOpen(client);
      },
    },
    {
      id: 'ENV-4',
      title: 'two requests with the same id both get answers',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        client.send(`{"id":"twin",${call}}`);
        client.send(`{"id":"twin",${call}}`);
        await client.waitFor('both answers', () =>
          client.answers.filter(({ id }) => id === '"twin"').length === 2 ? true : undefined,
        );
      },
    },
    {
      id: 'ENV-5',
      title: 'what is no message is answered with id -1, and the connection goes on',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        for (const [what, text] of Object.entries(garbage)) {
          const { error } = await client.ask(text, '-1');
          expect(error?.code, what).toBe(-32600);
          expect(error?.message, what).toMatch(/^The message /);
        }
        await expectOpen(client);
      },
    },
    {
      id: 'ENV-6',
      title: 'what is no message is answered before the handshake, too',
      covers: ['initialize'],
      run: async (context) => {
        const client = await context.connect();
        expect((await client.ask('[]', '-1')).error?.code).toBe(-32600);
        await client.handshake();
        await expectOpen(client);
      },
    },
    {
      id: 'ENV-7',
      title: 'a message that is empty is answered, but a line that is empty is none',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        if (context.target.name === 'stdio') {
          client.send('');
          client.send(' \t\r');
          await expectOpen(client);
          expect(client.answers.filter(({ id }) => id === '-1')).toEqual([]);
        } else {
          // A relay frame with an empty payload is none.
          if (context.target.name !== 'rendezvous')
            expect((await client.ask('', '-1')).error?.code).toBe(-32600);
          expect((await client.ask(' \t\r', '-1')).error?.code).toBe(-32600);
          await expectOpen(client);
        }
      },
    },
    {
      id: 'ENV-8',
      title: 'a message may have 127 containers in one another and 262144 values',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        const deep = `${'['.repeat(126)}${']'.repeat(126)}`;
        const wide = `[${'0,'.repeat(262_139)}0]`;
        for (const params of [deep, wide]) {
          const { error } = await client.ask(`{"id":"x","method":"no/such","params":${params}}`, '"x"');
          expect(error?.code).toBe(-32601);
        }
        await expectOpen(client);
      },
    },
    {
      id: 'ENV-9',
      title: 'a number beyond every range is no fault where nobody reads it',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        const { result } = await client.ask(`{"id":1000,${call},"later":1e999}`, '1000');
        expect(result).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'ENV-10',
      title: 'a message with a method and an id is a request, whatever else it has',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        const { result } = await client.ask(
          `{"result":1,"error":{"code":1},${call},"id":"r","extra":[{}],"trace":null}`,
          '"r"',
        );
        expect(result).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'ENV-11',
      title: 'a message of several MiB is taken whole',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        const ballast = '\u00fc'.repeat(6 * 1024 * 1024);
        const { result } = await client.ask(`{"id":"big",${call},"ballast":"${ballast}"}`, '"big"');
        expect(result).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'ENV-12',
      title: 'white space and escapes in a message do not matter',
      covers: ['environment/status'],
      run: async (context) => {
        const client = await context.open();
        const answer = await client.ask(
          ' { "\\u0069d" : "\\u0073" , "method" : "environment\\/status" , "params" : { } }\t',
          '"s"',
        );
        expect(answer.result).toEqual({ status: 'ready' });
      },
    },
    {
      id: 'ENV-13',
      title: 'what a client must not send ends its connection with the reason, and no other',
      covers: ['environment/status'],
      run: async (context) => {
        const other = await context.open();
        for (const text of Object.values(violations)) {
          const client = await context.open();
          client.send(text);
          await expectEnded(context, client, /notification|no request/);
          expect(client.answers.filter(({ error }) => error !== undefined)).toEqual([]);
        }
        await expectOpen(other);
      },
    },
    {
      id: 'ENV-14',
      title: 'initialized before a successful initialize ends the connection',
      covers: ['initialized'],
      run: async (context) => {
        const early = await context.connect();
        early.notify('initialized');
        await expectEnded(context, early, /^initialized came before/);
        const failed = await context.connect();
        await failed.refused('initialize', {});
        failed.notify('initialized', {});
        await expectEnded(context, failed, /^initialized came before/);
      },
    },
  ],
};
