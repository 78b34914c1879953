import { describe, expect, it } from 'vitest';
import { launchSpec } from '../../../src/process/command.ts';
import { Descriptor } from '../../../src/process/descriptor.ts';
import { type NativeChild, native } from '../../../src/support/native.ts';
import { openFile } from '../../support/unit-folder.ts';
import { Random } from '../../support/unit-random.ts';
import { sandboxes, startParams } from '../../support/unit-process.ts';
import { expectSoon, turn } from '../../support/unit-wait.ts';

const MiB = 1024 * 1024;

interface Ends extends AsyncDisposable {
  readonly pid: number;
  readonly input: Descriptor;
  readonly output: Descriptor;
  readonly received: () => Buffer;
  /** Resolves when this much output has come. */
  bytes(count: number): Promise<void>;
  readonly ended: { input: number; output: number };
  readonly outputEnd: Promise<void>;
  readonly inputEnd: Promise<void>;
  readonly inputFd: number;
  /** Something has come on standard error. */
  readonly marker: Promise<void>;
}

/** The descriptors of a program's standard input and output, without the rest of a Child. */
async function openEnds(script: string): Promise<Ends> {
  const spec = launchSpec(startParams(['/bin/sh', '-c', script], { pipeStdin: true }), {}, sandboxes);
  const started = await native().spawn(spec.native);
  if ('errno' in started) throw new Error(`The start failed: ${started.errno}`);
  const { pid, stdin, stdout, stderr }: NativeChild = started;
  const parts: Buffer[] = [];
  let changed = Promise.withResolvers<void>();
  const [inputEnd, outputEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ended = { input: 0, output: 0 };
  const output = new Descriptor(
    stdout,
    (bytes) => {
      parts.push(bytes);
      changed.resolve();
      changed = Promise.withResolvers();
    },
    () => {
      ended.output += 1;
      outputEnd.resolve();
    },
  );
  const input = new Descriptor(stdin, undefined, () => {
    ended.input += 1;
    inputEnd.resolve();
  });
  const marker = Promise.withResolvers<void>();
  const errors = new Descriptor(
    stderr,
    () => marker.resolve(),
    () => {},
  );
  const received = (): Buffer => Buffer.concat(parts);
  return {
    pid,
    input,
    output,
    received,
    ended,
    inputFd: stdin,
    marker: marker.promise,
    inputEnd: inputEnd.promise,
    outputEnd: outputEnd.promise,
    bytes: async (count) => {
      while (received().length < count) await expectSoon(`${count} bytes of output`, changed.promise);
    },
    [Symbol.asyncDispose]: async () => {
      process.kill(-pid, 'SIGKILL');
      for (const descriptor of [input, output, errors]) descriptor.destroy();
      await expect.poll(() => native().exitStatus(pid), { timeout: 10_000, interval: 5 }).not.toBeNull();
      native().reap(pid);
    },
  };
}

describe('Descriptor: input', () => {
  it('arrives whole and in order, however much is queued', async () => {
    await using ends = await openEnds('exec cat');
    const sent = [1000, 3 * MiB, 1, 2 * MiB, 70_000].map((count, i) =>
      count < 5000 ? new Random(i).bytes(count) : Buffer.alloc(count, new Random(i).bytes(4099)),
    );
    for (const bytes of sent) ends.input.write(bytes);
    ends.input.endInput();
    await expectSoon('the end of the output', ends.outputEnd);
    expect(ends.received().equals(Buffer.concat(sent))).toBe(true);
    expect(ends.ended).toEqual({ input: 1, output: 1 });
  });

  it('stays queued while the child does not read, and blocks nothing', async () => {
    await using ends = await openEnds('echo ready; exec sleep 1000');
    ends.input.write(Buffer.alloc(10 * MiB));
    await ends.bytes(6);
    expect(ends.input.queuedBytes).toBeGreaterThan(9 * MiB);
    expect(ends.input.inputBroken).toBe(false);
    let hasRoom = false;
    const room = ends.input.room(MiB).then(() => void (hasRoom = true));
    await turn();
    expect(hasRoom).toBe(false);
    ends.input.destroy();
    await expectSoon('the waiting writer', room);
    expect([ends.input.queuedBytes, ends.input.inputBroken, ends.ended.input]).toEqual([0, true, 1]);
  });

  it('has room when the child has read enough', async () => {
    await using ends = await openEnds('head -c 3000000 > /dev/null; echo done; exec sleep 1000');
    ends.input.write(Buffer.alloc(4 * MiB));
    await expectSoon('the room', ends.input.room(2 * MiB));
    expect(ends.input.queuedBytes).toBeLessThan(2 * MiB);
    expect(ends.input.queuedBytes).toBeGreaterThan(0);
  });

  it('ends only behind everything queued, and takes nothing more', async () => {
    await using ends = await openEnds('exec wc -c');
    ends.input.write(Buffer.alloc(MiB));
    ends.input.endInput();
    ends.input.write(Buffer.alloc(1000));
    await expectSoon('the end of the output', ends.outputEnd);
    expect(ends.received().toString().trim()).toBe(String(MiB));
    expect(ends.input.inputBroken).toBe(true);
  });

  it('ends at once where nothing is queued, and its descriptor is closed', async () => {
    await using ends = await openEnds('exec cat');
    const link = openFile(ends.inputFd);
    expect(link).toMatch(/^pipe:/);
    ends.input.endInput();
    ends.input.endInput();
    ends.input.destroy();
    expect(ends.ended.input).toBe(1);
    expect(openFile(ends.inputFd)).not.toBe(link);
    await expectSoon('the end of the output', ends.outputEnd);
  });

  it.each([
    ['before the write', 'exec <&-; echo ready; exec sleep 1000', 100],
    ['while much is queued', 'head -c 100000 > /dev/null; exec <&-; echo ready; exec sleep 1000', 10 * MiB],
  ])('is broken when the child closes its end %s', async (_, script, count) => {
    await using ends = await openEnds(script);
    if (count < MiB) await ends.bytes(6);
    ends.input.write(Buffer.alloc(count));
    await expectSoon('the end of the input', ends.inputEnd);
    expect([ends.input.inputBroken, ends.input.queuedBytes]).toEqual([true, 0]);
    ends.input.write(Buffer.alloc(10));
    expect(ends.input.queuedBytes).toBe(0);
    await expectSoon('room in a broken input', ends.input.room(1));
    expect(ends.ended).toEqual({ input: 1, output: 0 });
  });

  it('is broken when the child ends while much is queued', async () => {
    await using ends = await openEnds('head -c 100000 > /dev/null');
    ends.input.write(Buffer.alloc(10 * MiB));
    await expectSoon('the end of the input', ends.inputEnd);
    expect(ends.input.inputBroken).toBe(true);
  });

  it('ignores a write of nothing', async () => {
    await using ends = await openEnds('exec cat');
    ends.input.write(Buffer.alloc(0));
    expect(ends.input.queuedBytes).toBe(0);
    ends.input.endInput();
    await expectSoon('the end of the output', ends.outputEnd);
  });
});

describe('Descriptor: output', () => {
  it('does not come while it is paused, and comes whole afterwards', async () => {
    await using ends = await openEnds(
      'read line; printf 123; echo marker >&2; read line; printf 456; read line',
    );
    ends.output.pauseReading(true);
    ends.output.pauseReading(true);
    ends.input.write(Buffer.from('\n'));
    // The marker on standard error is written behind the output that is not read.
    await expectSoon('the marker', ends.marker);
    expect(ends.received().length).toBe(0);
    ends.output.pauseReading(false);
    await ends.bytes(3);
    ends.input.write(Buffer.from('\n'));
    await ends.bytes(6);
    expect(ends.received().toString()).toBe('123456');
  });

  it('that is there already is taken by readAvailable, also while it is paused', async () => {
    await using ends = await openEnds('printf 123; read line');
    ends.output.pauseReading(true);
    await expect
      .poll(() => (ends.output.readAvailable(), ends.received().length), { timeout: 10_000 })
      .toBe(3);
    ends.output.readAvailable();
    expect([ends.received().toString(), ends.ended.output]).toEqual(['123', 0]);
  });

  it('of an endless writer does not hold readAvailable for ever, nor other descriptors', async () => {
    await using endless = await openEnds('exec cat /dev/zero');
    await using quiet = await openEnds('exec cat');
    await endless.bytes(MiB);
    endless.output.readAvailable();
    quiet.input.write(Buffer.from('still served'));
    await quiet.bytes(12);
    endless.output.pauseReading(true);
  });

  it('ends once when it is destroyed, and nothing comes after that', async () => {
    await using ends = await openEnds('exec cat /dev/zero');
    await ends.bytes(1);
    ends.output.destroy();
    const count = ends.received().length;
    ends.output.destroy();
    ends.output.readAvailable();
    ends.output.pauseReading(false);
    await turn();
    expect([ends.received().length, ends.ended.output]).toEqual([count, 1]);
  });
});
