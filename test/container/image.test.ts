import { randomUUID } from 'node:crypto';

import { beforeAll, describe, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { startContainer } from './container.ts';
import { docker, installHint, succeeds } from '../support/docker.ts';
import { buildImage } from '../support/docker-image.ts';

const available = await succeeds('docker', 'version');
if (!available && process.env['CI'] === 'true') throw new Error(installHint);
if (!available) process.stderr.write(`Skipped. ${installHint}\n`);

/** Debian's packages and ours are fetched, and everything is built. */
const buildDeadlineMs = 900_000;

describe.skipIf(!available)('the image', () => {
  let image = '';

  beforeAll(async () => {
    image = await buildImage();
  }, buildDeadlineMs);

  async function outputOf(client: ExecClient, script: string): Promise<string> {
    const started = await client.start({ argv: ['sh', '-c', script], cwd: '/', timeoutMs: 30_000 });
    const output = await started.stdout.collect();
    const { exitCode, endReason } = await started.exited;
    expect({ script, exitCode, endReason }).toStrictEqual({ script, exitCode: 0, endReason: 'exited' });
    return output.toString();
  }

  test('runs processes as a user without privileges, at home', async () => {
    await using container = await startContainer(image);
    const { client } = container;

    expect(await outputOf(client, 'id -un')).toBe('executor\n');
    expect(Number(await outputOf(client, 'id -u'))).toBeGreaterThan(0);
    expect(client.environment?.cwd).toBe('file:///home/executor');
    expect(await outputOf(client, 'touch "$HOME/mine" && ls "$HOME"')).toBe('mine\n');
  });

  test('gives a terminal to a process that asks for one', async () => {
    await using container = await startContainer(image);
    const started = await container.client.start({
      argv: ['sh', '-c', 'tty && stty size'],
      cwd: '/',
      tty: true,
    });

    expect((await started.pty.collect()).toString()).toMatch(/^\/dev\/pts\/\d+\r\n24 80\r\n$/);
    expect((await started.exited).exitCode).toBe(0);
  });

  test('reaps what a process leaves behind', async () => {
    await using container = await startContainer(image);
    const { client } = container;
    const orphan = (await outputOf(client, 'sleep 1 >/dev/null 2>&1 & echo $!')).trim();

    expect(await outputOf(client, `cut -d' ' -f4 /proc/${orphan}/stat`)).toBe('1\n');
    // A zombie keeps its entry in /proc until it is reaped.
    await outputOf(client, `while [ -e /proc/${orphan} ]; do sleep 0.05; done`);
  });

  test('stops at SIGTERM and ends its processes', async () => {
    await using container = await startContainer(image);
    const { client, name } = container;
    const started = await client.start({ argv: ['sleep', '1000'], cwd: '/' });
    const status = docker('wait', name);
    await docker('kill', '--signal', 'TERM', name);

    expect(await status).toBe('0');
    expect((await started.exited).endReason).toBe('shutdown');
    await client.closed;
  });

  test('ends when its client hangs up', async () => {
    await using container = await startContainer(image);
    const status = docker('wait', container.name);
    await container.client.close();

    // The client ends what it has started with TERM, too, which can come at any moment of the executor's own exit.
    expect(['0', '143']).toContain(await status);
  });

  test('listens on a port that is asked for', async () => {
    const name = `exec-server-test-${randomUUID()}`;
    const listen = ['serve', '--listen', 'ws://0.0.0.0:8765', '--unauthenticated'];
    await docker('run', '--rm', '--detach', '--name', name, '--publish', '127.0.0.1::8765', image, ...listen);
    try {
      await until(async () => (await docker('logs', name)).startsWith('ws://'));
      const address = await docker('port', name, '8765');
      await using client = await ExecClient.connect({ url: `ws://${address}` });

      expect(await outputOf(client, 'echo reached')).toBe('reached\n');
      expect((await fetch(`http://${address}/readyz`)).status).toBe(200);
    } finally {
      await docker('rm', '--force', name);
    }
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('The container did not come up within 30 s.');
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
}
