import { Duplex } from 'node:stream';

import { describe, expect, test } from 'vitest';

import { createArguments, execArguments } from '../../../src/environments/docker/cli-arguments.ts';
import { dockerSource } from '../../../src/environments/docker/docker-source.ts';
import { explain } from '../../../src/environments/docker/explain.ts';
import { MultiplexedChild } from '../../../src/environments/docker/multiplexed.ts';

describe('the command line of Docker', () => {
  test('creates what is described, and takes no value for an option', () => {
    const args = createArguments({
      image: '--privileged',
      command: ['/bin/node', '--title=x', 'main.js'],
      user: '1000',
      workdir: '/w',
      network: 'none',
      env: { A: 'x y' },
      labels: { l: '1' },
      mounts: [
        { source: '/a,b', target: '/x', readOnly: true },
        { source: 'cache', target: '/c "d"' },
      ],
    });
    expect(args).toEqual([
      'container',
      'create',
      '--pull=never',
      '--interactive',
      '--rm',
      '--init',
      '--entrypoint=/bin/node',
      '--user=1000',
      '--network=none',
      '--workdir=/w',
      '--env=A=x y',
      '--label=l=1',
      '--mount=type=bind,"source=/a,b",target=/x,readonly',
      '--mount=type=volume,source=cache,"target=/c ""d"""',
      '--',
      '--privileged',
      '--title=x',
      'main.js',
    ]);
    expect(execArguments('c', { argv: ['a', '-b'], user: '0' })).toEqual([
      'container',
      'exec',
      '--interactive',
      '--user=0',
      '--',
      'c',
      'a',
      '-b',
    ]);
  });
});

test('a source is of a container or of an image, and only what is created is described', () => {
  const variables = {};
  expect(() => dockerSource({ variables })).toThrow(/either a container that runs, or an image/);
  expect(() => dockerSource({ container: 'a', image: 'b', variables })).toThrow(/either/);
  expect(() => dockerSource({ container: 'a', network: 'none', variables })).toThrow(/^network: /);
});

test('what an engine says is one bounded line without control characters', () => {
  const cause = new Error(`first\n\u001b[31m${'x'.repeat(10_000)}`);
  const { message } = explain(cause, { engine: 'the engine', target: '"c"' });
  expect(message).toMatch(/^the engine refuses this \(\?\[31mx+\)\.$/);
  expect(message.length).toBeLessThan(500);
});

describe('streams on one connection', () => {
  const piece = (stream: number, text: string): Buffer => {
    const header = Buffer.alloc(8);
    header.writeUInt8(stream, 0);
    header.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([header, Buffer.from(text)]);
  };

  test.each([1, 3, 8, 11, 1000])('are told apart where %i bytes come at a time', async (bytes) => {
    const written: Buffer[] = [];
    const socket = new Duplex({
      read: () => {},
      write: (part: Buffer, _encoding, done) => {
        written.push(part);
        done();
      },
    });
    const child = new MultiplexedChild(socket, {
      exit: async () => ({ code: 3, signal: null }),
      kill: async () => {},
    });
    const all = Buffer.concat([piece(1, 'out'), piece(2, ''), piece(2, 'err\n'), piece(1, 'put\n')]);
    child.stdin.write('in');
    for (let at = 0; at < all.length; at += bytes) socket.push(all.subarray(at, at + bytes));
    socket.push(null);
    const [stdout, stderr] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
    expect(Buffer.concat(stdout as Buffer[]).toString()).toBe('output\n');
    expect(Buffer.concat(stderr as Buffer[]).toString()).toBe('err\n');
    expect(await child.exited).toEqual({ code: 3, signal: null });
    expect(Buffer.concat(written).toString()).toBe('in');
  });
});
