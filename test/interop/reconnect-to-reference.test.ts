import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { type ConnectionEvent, ExecClient, OutputLostError } from '../../src/client/exec-client.ts';
import { type ChaosProxy, type Fault, startChaosProxy } from '../support/chaos-proxy.ts';
import { until } from '../support/faults-proc.ts';
import { type RunningExecutor, startReferenceExecutor } from '../support/reference.ts';

const RELEASE = '0.169.0';
const cwd = tmpdir();

let executor: RunningExecutor;
let told: ConnectionEvent['kind'][] = [];

beforeAll(async () => {
  executor = await startReferenceExecutor(RELEASE);
});

afterAll(async () => {
  await executor[Symbol.asyncDispose]();
});

beforeEach(() => {
  told = [];
});

async function connect(proxy: ChaosProxy): Promise<ExecClient> {
  return ExecClient.connect({ url: proxy.url }, { onConnection: ({ kind }) => told.push(kind) });
}

/** Strikes when the first output is here, and again with every further one. */
async function digestUnder(
  proxy: ChaosProxy,
  fault: Fault,
  output: AsyncIterable<Uint8Array>,
): Promise<string> {
  const hash = createHash('sha256');
  let last = 0;
  for await (const bytes of output) {
    hash.update(bytes);
    if (last + 400 > performance.now()) continue;
    last = performance.now();
    proxy.strike(fault);
  }
  return hash.digest('hex');
}

describe(`our client with the executor of Codex ${RELEASE} behind a connection that breaks`, () => {
  test.each<Fault>([{ kind: 'drop' }, { kind: 'reset' }])(
    'gets the whole output and the exit after $kind',
    async (fault) => {
      await using proxy = await startChaosProxy(executor.url);
      await using client = await connect(proxy);
      const script = 'for i in 1 2 3 4 5 6 7 8; do seq 1 2000; seq 1 $i >&2; sleep 0.2; done; exit 5';
      const child = await client.start({ argv: ['/bin/sh', '-c', script], cwd });
      const [stdout, stderr, exit] = await Promise.all([
        digestUnder(proxy, fault, child.stdout),
        child.stderr.collect(),
        child.exited,
        child.closed,
      ]);
      const lines = Array.from({ length: 2000 }, (_, index) => `${index + 1}\n`).join('');
      expect(stdout).toBe(createHash('sha256').update(lines.repeat(8)).digest('hex'));
      expect(stderr.toString().split('\n')).toHaveLength(1 + (8 * 9) / 2);
      expect(exit.exitCode).toBe(5);
      expect(told.length).toBeGreaterThanOrEqual(4);
      expect(told).not.toContain('lost');
    },
  );

  test('writes each part of an input once', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    const child = await client.start({ argv: ['/usr/bin/head', '-n', '40'], cwd, pipeStdin: true });
    const echo = child.stdout.collect();
    for (let number = 1; number <= 40; number++) {
      if (number % 10 === 5) proxy.strike({ kind: 'reset' });
      expect(await child.write(`${number}\n`)).toBe('accepted');
    }
    expect((await echo).toString()).toBe(Array.from({ length: 40 }, (_, index) => `${index + 1}\n`).join(''));
    expect(told).toContain('reconnected');
  });

  test('says what is lost when the executor has not kept what was written meanwhile', async () => {
    await using proxy = await startChaosProxy(executor.url);
    await using client = await connect(proxy);
    const written = path.join(cwd, randomUUID());
    const script = 'echo ready; read x; head -c 5000000 /dev/zero; echo > "$0"; read y';
    const child = await client.start({ argv: ['/bin/sh', '-c', script, written], cwd, pipeStdin: true });
    const output = child.stdout.collect();
    proxy.shut(true);
    // The connection ends behind the write, so that the executor has it.
    await child.write('go\n');
    proxy.strike({ kind: 'drop' });
    await until(
      10_000,
      () => existsSync(written),
      () => 'the process is still writing',
    );
    await rm(written);
    proxy.shut(false);
    await expect(output).rejects.toBeInstanceOf(OutputLostError);
    await client.call('environment/status', undefined);
  });
});
