import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { LineTransport } from '../../../src/rpc/line-transport.ts';
import { TransportRecord } from '../../support/unit-transport.ts';
import { expectSoon, turn } from '../../support/unit-wait.ts';

interface Opened {
  readonly input: PassThrough;
  readonly output: PassThrough;
  readonly transport: LineTransport;
  readonly record: TransportRecord;
}

function open(): Opened {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const transport = new LineTransport(input, output);
  return { input, output, transport, record: new TransportRecord(transport) };
}

async function receive(...chunks: (string | Buffer)[]): Promise<TransportRecord> {
  const { input, record } = open();
  for (const chunk of chunks) input.write(chunk);
  input.end();
  await record.closed();
  return record;
}

const normalEnd = { kind: 'normal', message: 'the other side has closed its output' };

describe('LineTransport: lines', () => {
  const text = '{"a":"ü"}\r\n\n{"b":"漢😀"}\n \t\r\n[]';
  const bytes = Buffer.from(text);
  const messages = ['{"a":"ü"}\r', '{"b":"漢😀"}', '[]'];

  it.each(Array.from({ length: bytes.length + 1 }, (_, at) => [at]))(
    'reads the same messages from bytes that are split at %i',
    async (at) => {
      const record = await receive(bytes.subarray(0, at), bytes.subarray(at));
      expect(record.messages.map((line) => line.trim())).toEqual(messages.map((line) => line.trim()));
      expect(record.entries.at(-1)).toEqual({ close: normalEnd });
    },
  );

  it('reads the same messages from single bytes', async () => {
    const record = await receive(...Array.from(bytes, (byte) => Buffer.from([byte])));
    expect(record.messages.map((line) => line.trim())).toEqual(messages.map((line) => line.trim()));
  });

  it('reads a thousand lines of one chunk in order', async () => {
    const lines = Array.from({ length: 1000 }, (_, i) => `{"id":${i}}`);
    expect((await receive(`${lines.join('\n')}\n`)).messages).toEqual(lines);
  });

  it('skips blank lines, and a blank last line', async () => {
    expect((await receive('\n\r\n  \n\t\n', '1\n', '   ')).messages).toEqual(['1']);
  });

  it('takes a last line without a newline for a message', async () => {
    expect((await receive('1\n2')).messages).toEqual(['1', '2']);
  });

  it('tells garbage for a line that is not UTF-8, and goes on with the next', async () => {
    const record = await receive('1\n', Buffer.from([0x22, 0xff, 0x22, 0x0a]), '2\n', Buffer.from([0xc3]));
    expect(record.entries).toEqual([
      { message: '1' },
      { garbage: 'is not UTF-8' },
      { message: '2' },
      { garbage: 'is not UTF-8' },
      { close: normalEnd },
    ]);
  });

  it.each([
    ['an overlong form', [0xc0, 0xaf]],
    ['half of a surrogate pair', [0xed, 0xa0, 0x80]],
    ['a character that a newline cuts', [0xe2, 0x82]],
    ['a lone continuation byte', [0x80]],
  ])('tells garbage for %s', async (_, line) => {
    expect((await receive(Buffer.from([...line, 0x0a]), '1')).entries.slice(0, 2)).toEqual([
      { garbage: 'is not UTF-8' },
      { message: '1' },
    ]);
  });

  it('keeps what comes before it is attached', async () => {
    const input = new PassThrough();
    const transport = new LineTransport(input, new PassThrough());
    input.end('1\n2\n');
    await turn();
    const record = new TransportRecord(transport);
    expect(await record.closed()).toEqual(normalEnd);
    expect(record.messages).toEqual(['1', '2']);
  });
});

describe('LineTransport: the longest line', () => {
  const longest = Buffer.alloc(limits.messageBytes, 'x');

  it('is accepted, with its newline and as a last line without', async () => {
    const { input, record } = open();
    input.write(longest);
    input.write('\n');
    input.end(longest);
    expect(await record.closed()).toEqual(normalEnd);
    expect(record.messages.map((line) => line.length)).toEqual([limits.messageBytes, limits.messageBytes]);
  });

  it.each([
    ['comes at once', [Buffer.concat([longest, Buffer.from('x\n1\n')])]],
    ['comes in parts', [longest, Buffer.from('x')]],
    ['has its newline in another part', [longest, Buffer.from('x\n1\n')]],
  ])('closes with a reason when one more byte %s', async (_, chunks) => {
    const { input, record } = open();
    for (const chunk of chunks) input.write(chunk);
    expect(await record.closed()).toEqual({
      kind: 'tooBig',
      message: `a line is longer than ${limits.messageBytes} bytes (--limit messageBytes=N of the executor changes that)`,
    });
    expect(record.entries).toHaveLength(1);
    expect(input.destroyed).toBe(true);
  });
});

describe('LineTransport: sending and closing', () => {
  it('writes one line a message, in order', async () => {
    const { output, transport } = open();
    for (const message of ['{"a":1}', Buffer.from('"ü"'), '[]']) transport.send(message);
    transport.close({ kind: 'normal', message: 'done' });
    const chunks = await expectSoon('the end of the output', output.toArray());
    expect(Buffer.concat(chunks as Buffer[]).toString()).toBe('{"a":1}\n"ü"\n[]\n');
  });

  it('tells its own close once, and drops what is sent after it', async () => {
    const { input, output, transport, record } = open();
    const reason = { kind: 'policyViolation', message: 'enough' } as const;
    transport.close(reason);
    transport.close({ kind: 'normal', message: 'again' });
    transport.send('late');
    input.destroy();
    await expectSoon('the end of the output', output.toArray());
    await turn();
    expect(record.entries).toEqual([{ close: reason }]);
  });

  it('tells a close to the events that are attached after it', async () => {
    const transport = new LineTransport(new PassThrough(), new PassThrough());
    const reason = { kind: 'normal', message: 'before anybody was attached' } as const;
    transport.close(reason);
    const record = new TransportRecord(transport);
    await turn();
    expect(record.closes).toEqual([reason]);
  });

  it('delivers nothing that follows a message whose handler closes', async () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const transport = new LineTransport(input, output);
    const record = new TransportRecord(transport, () => transport.close({ kind: 'normal', message: 'one' }));
    input.end('1\n2\n3');
    await record.closed();
    await turn();
    expect(record.entries).toEqual([{ message: '1' }, { close: { kind: 'normal', message: 'one' } }]);
  });

  it('ends as lost when the input is destroyed', async () => {
    const { input, record } = open();
    input.write('1\n2');
    await record.until('the first message', () => record.messages.length === 1);
    input.destroy(new Error('cut'));
    expect((await record.closed()).kind).toBe('lost');
    expect(record.messages).toEqual(['1']);
  });

  it('ends as lost when the output fails', async () => {
    const { output, record } = open();
    output.destroy(new Error('EPIPE'));
    expect((await record.closed()).kind).toBe('lost');
    expect(record.entries).toHaveLength(1);
  });

  it('tells a close when both streams were gone before it is attached', async () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    input.destroy();
    output.destroy();
    await turn();
    const record = new TransportRecord(new LineTransport(input, output));
    expect((await record.closed()).kind).toBe('lost');
  });

  it('counts unsent bytes, and tells when they are gone', async () => {
    const gate = Promise.withResolvers<void>();
    const output = new Writable({
      highWaterMark: 16,
      async write(_chunk, _encoding, done) {
        await gate.promise;
        done();
      },
    });
    const transport = new LineTransport(new PassThrough(), output);
    const record = new TransportRecord(transport);
    transport.send('x'.repeat(99));
    expect(transport.unsentBytes).toBe(100);
    expect(record.drains).toBe(0);
    gate.resolve();
    await record.until('the drain', () => record.drains === 1);
    expect(transport.unsentBytes).toBe(0);
    transport.close({ kind: 'normal', message: 'done' });
  });

  it('reads nothing while paused, and everything afterwards', async () => {
    const { input, transport, record } = open();
    transport.pause();
    input.write('1\n2\n');
    await turn();
    expect(record.messages).toEqual([]);
    transport.resume();
    await record.until('both messages', () => record.messages.length === 2);
    input.end();
    expect(await record.closed()).toEqual(normalEnd);
  });
});

describe('LineTransport: the pipes of a child', () => {
  const start = (script: string): ChildProcess =>
    spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });

  async function withChild(script: string, use: (opened: Opened) => Promise<void>): Promise<void> {
    const child = start(script);
    const exit = once(child, 'exit');
    const { stdin, stdout } = child;
    if (stdin === null || stdout === null) throw new Error('The child has no pipes.');
    const transport = new LineTransport(stdout, stdin);
    try {
      await use({
        input: new PassThrough(),
        output: new PassThrough(),
        transport,
        record: new TransportRecord(transport),
      });
    } finally {
      child.kill('SIGKILL');
      await expectSoon('the exit of the child', exit);
    }
  }

  it('carry messages both ways, of any size', async () => {
    await withChild('exec cat', async ({ transport, record }) => {
      const messages = ['1', `"${'ü'.repeat(1_000_000)}"`, '{"a":[]}'];
      for (const message of messages) transport.send(message);
      await record.until('the echoes', () => record.messages.length === messages.length);
      expect(record.messages).toEqual(messages);
    });
  });

  it('end normally when the child closes its output', async () => {
    await withChild('echo 1; printf 2; exec >&-; read line', async ({ record }) => {
      expect(await record.closed()).toEqual(normalEnd);
      expect(record.messages).toEqual(['1', '2']);
    });
  });

  it('end when the child no longer reads', async () => {
    await withChild('exec <&-; echo ready; exec sleep 60', async ({ transport, record }) => {
      await record.until('the first message', () => record.messages.length === 1);
      transport.send('nobody reads this');
      expect(await record.closed()).toEqual({ kind: 'lost', message: 'the other side no longer reads' });
    });
  });
});
