import { describe, expect, it } from 'vitest';
import { memoryTransportPair } from '../../../src/rpc/memory-transport.ts';
import { TransportRecord } from '../../support/unit-transport.ts';
import { turn } from '../../support/unit-wait.ts';

const done = { kind: 'normal', message: 'done' } as const;

describe('memoryTransportPair', () => {
  it('carries messages both ways, in order', async () => {
    const [left, right] = memoryTransportPair();
    const [atLeft, atRight] = [new TransportRecord(left), new TransportRecord(right)];
    for (const text of ['1', '2', '3']) left.send(text);
    right.send('a');
    await turn();
    expect(atRight.messages).toEqual(['1', '2', '3']);
    expect(atLeft.messages).toEqual(['a']);
  });

  it('runs no handler inside a send', async () => {
    const [left, right] = memoryTransportPair();
    const atRight = new TransportRecord(right);
    left.send('1');
    expect(atRight.messages).toEqual([]);
    await turn();
    expect(atRight.messages).toEqual(['1']);
  });

  it('keeps what comes before it is attached, and the close behind it', async () => {
    const [left, right] = memoryTransportPair();
    left.send('1');
    left.send('2');
    left.close(done);
    await turn();
    const atRight = new TransportRecord(right);
    await turn();
    expect(atRight.entries).toEqual([{ message: '1' }, { message: '2' }, { close: done }]);
  });

  it('tells a close once on both sides, with the first reason', async () => {
    const [left, right] = memoryTransportPair();
    const records = [new TransportRecord(left), new TransportRecord(right)];
    left.close(done);
    left.close({ kind: 'internalError', message: 'again' });
    right.close({ kind: 'lost', message: 'too late' });
    await turn();
    for (const record of records) expect(record.entries).toEqual([{ close: done }]);
  });

  it('tells a close to the side that closed before it was attached', async () => {
    const [left] = memoryTransportPair();
    left.close(done);
    const record = new TransportRecord(left);
    await turn();
    expect(record.entries).toEqual([{ close: done }]);
  });

  it('drops what is sent after the close, from either side', async () => {
    const [left, right] = memoryTransportPair();
    const [atLeft, atRight] = [new TransportRecord(left), new TransportRecord(right)];
    left.close(done);
    left.send('1');
    right.send('2');
    await turn();
    expect([...atLeft.messages, ...atRight.messages]).toEqual([]);
  });

  it('delivers an answer that a handler sends', async () => {
    const [left, right] = memoryTransportPair();
    const atLeft = new TransportRecord(left);
    const atRight = new TransportRecord(right, (text) => right.send(`${text}!`));
    left.send('1');
    left.send('2');
    await turn();
    expect(atRight.messages).toEqual(['1', '2']);
    expect(atLeft.messages).toEqual(['1!', '2!']);
  });

  it('counts what the other side has not read, and tells when it is gone', async () => {
    const [left, right] = memoryTransportPair();
    const atLeft = new TransportRecord(left);
    const atRight = new TransportRecord(right);
    right.pause();
    left.send('12345');
    left.send('67');
    await turn();
    expect(left.unsentBytes).toBe(7);
    expect(atRight.messages).toEqual([]);
    expect(atLeft.drains).toBe(0);
    right.resume();
    await turn();
    expect(left.unsentBytes).toBe(0);
    expect(atRight.messages).toEqual(['12345', '67']);
    expect(atLeft.drains).toBe(1);
  });

  it('stops after the message whose handler pauses', async () => {
    const [left, right] = memoryTransportPair();
    const atRight = new TransportRecord(right, () => right.pause());
    for (const text of ['1', '2', '3']) left.send(text);
    await turn();
    expect(atRight.messages).toEqual(['1']);
    right.resume();
    await turn();
    expect(atRight.messages).toEqual(['1', '2']);
  });

  it('closes although nobody reads', async () => {
    const [left, right] = memoryTransportPair();
    const records = [new TransportRecord(left), new TransportRecord(right)];
    right.pause();
    left.send('never read');
    left.close(done);
    await turn();
    for (const record of records) expect(record.entries).toEqual([{ close: done }]);
  });

  it('tells nothing after the close', async () => {
    const [left, right] = memoryTransportPair();
    const atLeft = new TransportRecord(left);
    const atRight = new TransportRecord(right, () => right.close(done));
    left.send('1');
    left.send('2');
    right.send('a');
    await turn();
    expect(atRight.entries.at(-1)).toEqual({ close: done });
    expect(atLeft.entries.at(-1)).toEqual({ close: done });
    expect(atLeft.closes).toHaveLength(1);
    expect(atRight.closes).toHaveLength(1);
  });
});
