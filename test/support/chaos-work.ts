import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { expect } from 'vitest';

import { CompletionUnknownError, type ExecClient, type OutputView } from '../../src/client/exec-client.ts';
import { ConnectionError } from '../../src/rpc/connection-error.ts';
import type { Chance } from './faults-random.ts';

/** What a part of a workload works with. */
export interface Bench {
  readonly client: ExecClient;
  readonly chance: Chance;
  /** A folder of this run alone. */
  readonly folder: string;
}

type Part = (bench: Bench) => Promise<void>;

const plain = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' };

export function digest(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function digestOf(view: OutputView): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of view) hash.update(bytes);
  return hash.digest('hex');
}

function numbers(from: number, to: number): string {
  let text = '';
  for (let number = from; number <= to; number++) text += `${number}\n`;
  return text;
}

/** A process that writes on both of its streams, in bursts, while the connection comes and goes. */
async function talker({ client, chance, folder }: Bench): Promise<void> {
  const [bursts, lines] = [3 + chance.below(10), 1000 + chance.below(20_000)];
  const script = `for i in $(seq ${bursts}); do seq ${lines}; seq $i >&2; sleep 0.0${1 + chance.below(9)}; done; exit 5`;
  const child = await client.start({ argv: ['/bin/sh', '-c', script], cwd: folder, env: plain });
  const all = Promise.all([digestOf(child.stdout), digestOf(child.stderr), child.exited, child.closed]);
  const [stdout, stderr, exit, close] = await all;
  const rounds = Array.from({ length: bursts }, (_, index) => index + 1);
  expect(stdout).toBe(digest(numbers(1, lines).repeat(bursts)));
  expect(stderr).toBe(digest(rounds.map((round) => numbers(1, round)).join('')));
  expect(exit).toMatchObject({ exitCode: 5, endReason: 'exited' });
  expect(close.complete).toBe(true);
}

/** Questions and answers on a terminal. */
async function terminal({ client, chance, folder }: Bench): Promise<void> {
  const script =
    'stty -echo; echo ready; while read line; do [ "$line" = end ] && exit 7; echo "heard $line"; done';
  const child = await client.start({ argv: ['/bin/sh', '-c', script], cwd: folder, env: plain, tty: true });
  const rounds = 4 + chance.below(20);
  let text = '';
  let asked = 0;
  for await (const piece of child.pty.text()) {
    text += piece;
    const answers = text.split('\r\n').length - 1;
    if (answers <= asked) continue;
    // The answer to the question before is here.
    asked += 1;
    await child.write(asked <= rounds ? `question ${asked}\n` : 'end\n');
  }
  const answers = Array.from({ length: rounds }, (_, index) => `heard question ${index + 1}\r\n`).join('');
  expect(text).toBe(`ready\r\n${answers}`);
  expect((await child.exited).exitCode).toBe(7);
  expect((await child.closed).complete).toBe(true);
}

/** Input of which every write arrives once, and in order. */
async function input({ client, chance, folder }: Bench): Promise<void> {
  const child = await client.start({ argv: ['/bin/cat'], cwd: folder, env: plain, pipeStdin: true });
  const echo = digestOf(child.stdout);
  const sent = createHash('sha256');
  const writes = 20 + chance.below(60);
  for (let number = 0; number < writes; number++) {
    const part = `${number}:${'x'.repeat(chance.below(4000))}\n`;
    sent.update(part);
    expect(await child.write(part)).toBe('accepted');
  }
  await child.closeStdin();
  expect(await echo).toBe(sent.digest('hex'));
  expect((await child.closed).complete).toBe(true);
}

/** Programs that leave a trace each: none ran twice, and none that was reported as started did not run. */
async function starts({ client, chance, folder }: Bench): Promise<void> {
  const trace = path.join(folder, 'trace');
  await writeFile(trace, '');
  const count = 4 + chance.below(16);
  for (let number = 0; number < count; number++) {
    const argv = ['/bin/sh', '-c', 'echo "$0" >> trace; echo "$0"', String(number)];
    const child = await client.start({ argv, cwd: folder, env: plain });
    expect((await child.stdout.collect()).toString()).toBe(`${number}\n`);
    expect((await child.closed).complete).toBe(true);
  }
  expect(await readFile(trace, 'utf8')).toBe(count === 0 ? '' : numbers(0, count - 1));
}

/** Files, by an application that does again what it is told to be unknown or lost, and nothing else. */
async function files({ client, chance, folder }: Bench): Promise<void> {
  const [small, large, copy] = ['small', 'large', 'copy'].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (let number = 0; number < 5; number++) {
    const text = `${number} ${'y'.repeat(chance.below(8000))}`;
    await insist(CompletionUnknownError, () => client.files.writeFile(small, text));
    expect(Buffer.from(await client.files.readFile(small)).toString()).toBe(text);
    expect((await client.files.stat(small)).size).toBe(text.length);
  }
  const content = Buffer.alloc(100_000 + chance.below(1_000_000), `${chance.below(1e9)} `);
  await writeFile(large, content);
  const { sha256 } = await insist(ConnectionError, () => client.files.upload(large, copy));
  expect(sha256).toBe(digest(content));
  expect(digest(await readFile(copy))).toBe(sha256);
  await insist(ConnectionError, () => client.files.download(copy, `${copy}.back`));
  expect(digest(await readFile(`${copy}.back`))).toBe(sha256);
}

/** Requests with bodies in both directions, by an application that asks again when the connection was lost in the middle. */
async function http({ client, chance }: Bench): Promise<void> {
  const content = Buffer.alloc(50_000 + chance.below(400_000), `${chance.below(1e9)} `);
  const server = createServer((request, response) => {
    const hash = createHash('sha256');
    request.on('data', (part: Buffer) => hash.update(part));
    request.on('end', () => response.setHeader('x-digest', hash.digest('hex')).end(content));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    for (let number = 0; number < 3; number++) {
      const answer = await insist(ConnectionError, async () => {
        const { headers, body } = await client.http.request({
          url: `http://127.0.0.1:${port}/`,
          method: 'POST',
          body: content,
        });
        const hash = createHash('sha256');
        for await (const part of body) hash.update(part);
        return { sent: headers.find(({ name }) => name === 'x-digest')?.value, got: hash.digest('hex') };
      });
      expect(answer).toEqual({ sent: digest(content), got: digest(content) });
    }
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  }
}

/** Again and again while it fails in that way. */
async function insist<T>(
  kind: typeof ConnectionError | typeof CompletionUnknownError,
  work: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof kind) || error.reason !== 'closed') throw error;
    }
  }
}

/** Everything that runs at the same time. A new kind of traffic has its place here. */
const parts: Readonly<Record<string, Part>> = {
  'first talker': talker,
  'second talker': talker,
  'third talker': talker,
  terminal,
  input,
  starts,
  files,
  http,
};

/** Runs all parts at once, in a folder of their own. Throws what went wrong, by the names of the parts. */
export async function work(client: ExecClient, chance: (part: number) => Chance): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'exec-chaos-'));
  try {
    const names = Object.keys(parts);
    const ends = await Promise.allSettled(
      Object.values(parts).map(async (part, index) => part({ client, chance: chance(index), folder })),
    );
    const failed = ends.flatMap((end, index) =>
      end.status === 'rejected'
        ? [`${names[index]}: ${String((end.reason as Error).stack ?? end.reason)}`]
        : [],
    );
    if (failed.length > 0) throw new Error(failed.join('\n'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
