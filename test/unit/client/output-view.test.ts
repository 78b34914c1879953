import { describe, expect, it } from 'vitest';
import { OutputLostError } from '../../../src/client/output-lost-error.ts';
import { type OutputChunk, OutputView } from '../../../src/client/output-view.ts';

/** A view of the chunks, of which every second one belongs to another stream. */
function viewOf(parts: readonly Uint8Array[], end?: Error): OutputView {
  const chunks = async function* (): AsyncGenerator<OutputChunk> {
    for (const bytes of parts) {
      yield { stream: 'stdout', bytes };
      yield { stream: 'stderr', bytes: Buffer.from('not this one') };
    }
    if (end !== undefined) throw end;
  };
  return new OutputView(chunks, 'stdout');
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

async function textOf(...parts: Uint8Array[]): Promise<string[]> {
  return all(viewOf(parts).text());
}

const text = 'aé漢😀\u0301\ufeff\r\nz';
const bytes = Buffer.from(text);

describe('OutputView.text', () => {
  it.each(Array.from({ length: bytes.length + 1 }, (_, at) => [at]))(
    'gives whole characters where the bytes are split at %i',
    async (at) => {
      const parts = await textOf(bytes.subarray(0, at), bytes.subarray(at));
      expect(parts.join('')).toBe(text);
      expect(parts).not.toContain('');
      for (const part of parts) expect(part.isWellFormed()).toBe(true);
    },
  );

  it('gives whole characters of single bytes', async () => {
    const parts = await textOf(...Array.from(bytes, (byte) => Buffer.from([byte])));
    expect(parts).toEqual(Array.from(text));
  });

  it('keeps a byte order mark at the beginning', async () => {
    expect(await textOf(Buffer.from('\ufeffx'))).toEqual(['\ufeffx']);
  });

  it.each([
    ['a byte that no character has', [0x61, 0xff, 0x62], 'a\ufffdb'],
    ['a character that never ends', [0x61, 0xe6, 0xbc], 'a\ufffd'],
    ['an overlong form', [0xc0, 0xaf], '\ufffd\ufffd'],
    ['half of a surrogate pair', [0xed, 0xa0, 0x80], '\ufffd\ufffd\ufffd'],
    ['a broken character before a whole one', [0xf0, 0x9f, 0xc3, 0xa9], '\ufffdé'],
  ])('replaces %s, wherever it is split', async (_, broken, expected) => {
    for (let at = 0; at <= broken.length; at++) {
      const parts = await textOf(Buffer.from(broken.slice(0, at)), Buffer.from(broken.slice(at)));
      expect(parts.join(''), `split at ${at}`).toBe(expected);
    }
  });

  it('gives nothing for no output', async () => {
    expect(await textOf()).toEqual([]);
    expect(await textOf(Buffer.alloc(0))).toEqual([]);
  });
});

describe('OutputView', () => {
  it('gives the bytes of its own stream only, as they came', async () => {
    const parts = [Buffer.from([0xff]), Buffer.from([0, 1])];
    expect(await all(viewOf(parts))).toEqual(parts);
  });

  it('reads from the beginning for each iteration', async () => {
    const view = viewOf([Buffer.from('ab'), Buffer.from('c')]);
    expect((await view.collect()).toString()).toBe('abc');
    expect((await view.collect()).toString()).toBe('abc');
    expect((await all(view.text())).join('')).toBe('abc');
  });

  it('throws what its source throws, behind the output before it', async () => {
    const lost = new OutputLostError({ fromSeq: 3, toSeq: 7, bytes: 900 });
    const view = viewOf([Buffer.from('ab')], lost);
    const got: string[] = [];
    const reading = (async () => {
      for await (const part of view.text()) got.push(part);
    })();
    await expect(reading).rejects.toBe(lost);
    expect(got).toEqual(['ab']);
    await expect(view.collect()).rejects.toThrow('events 3 to 7');
  });

  it('ends its source when the reader stops', async () => {
    let ended = false;
    const chunks = async function* (): AsyncGenerator<OutputChunk> {
      try {
        for (;;) yield { stream: 'pty', bytes: Buffer.from('x') };
      } finally {
        ended = true;
      }
    };
    for await (const part of new OutputView(chunks, 'pty').text()) {
      expect(part).toBe('x');
      break;
    }
    expect(ended).toBe(true);
  });
});
