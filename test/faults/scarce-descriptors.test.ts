import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { toError } from '../../src/support/to-error.ts';
import { ask } from '../support/access-tokens.ts';
import { RawClient, Refusal } from '../support/faults-client.ts';
import { type ListeningExecutor, launchExecutor } from '../support/faults-executor.ts';
import { openDescriptors, until } from '../support/faults-proc.ts';

/** Descriptors of the executor, of which it needs some thirty itself and keeps thirty-two. */
const DESCRIPTORS = 140;
const SETTLED_MS = 20_000;

const start = (): Promise<ListeningExecutor> =>
  launchExecutor({ wrap: ['/bin/sh', '-c', `ulimit -n ${DESCRIPTORS}; exec "$0" "$@"`] });

/** Does something again and again until it is refused. */
async function refusalOf(work: (number: number) => Promise<unknown>): Promise<Refusal> {
  for (let number = 0; number < DESCRIPTORS; number++) {
    const error: unknown = await work(number).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error instanceof Refusal) return error;
    if (error !== undefined) throw toError(error);
  }
  throw new Error('nothing was refused');
}

/** What has to go on: the clients that are there, a new one, the probes, a file that is read. */
async function expectService(executor: ListeningExecutor, client: RawClient): Promise<void> {
  expect(await client.request('environment/status', {})).toEqual({ status: 'ready' });
  expect(await client.request('environment/metrics', {})).toMatchObject({ descriptorsScarce: true });
  await client.request('fs/readFile', { path: '/etc/hostname' });
  await using other = await RawClient.connect(executor.url);
  expect(await other.request('environment/status', {})).toEqual({ status: 'ready' });
  expect(await ask(executor.url, { path: '/readyz', upgrade: false })).toMatchObject({ status: 200 });
}

const typed = { code: -32603, data: { kind: 'resourceLimit', errno: 24, limit: 'reservedDescriptors' } };

describe(`an executor with ${DESCRIPTORS} descriptors`, () => {
  test('refuses files and starts when files use them up, and serves the rest', async () => {
    await using executor = await start();
    await using client = await RawClient.connect(executor.url);
    const open = (number: number): Promise<unknown> =>
      client.request('fs/open', { handleId: `h${number}`, path: '/etc/hostname', mode: 'read' });
    const refusal = await refusalOf(open);
    expect(refusal).toMatchObject(typed);
    expect(refusal.message).toMatch(/ulimit -n.*\(os error 24\)$/);
    await expect(client.start({ processId: 'p', argv: ['/bin/true'] })).rejects.toMatchObject(typed);
    await expectService(executor, client);
    for (let number = 0; number < DESCRIPTORS; number++)
      await client.request('fs/close', { handleId: `h${number}` });
    const log = await client.start({ processId: 'p', argv: ['/bin/echo', 'again'] });
    await log.closed();
    expect(executor.stderr).toBe('');
  });

  test('refuses starts when processes use them up, and serves the rest', async () => {
    await using executor = await start();
    await using client = await RawClient.connect(executor.url);
    const refusal = await refusalOf((number) =>
      client.start({ processId: `p${number}`, argv: ['/bin/cat'], pipeStdin: true, tty: number % 2 === 0 }),
    );
    expect(refusal).toMatchObject(typed);
    await expectService(executor, client);
    await client.request('process/terminate', { processId: 'p0' });
    await client.request('process/terminate', { processId: 'p1' });
    const log = await client.start({ processId: 'again', argv: ['/bin/echo', 'again'] });
    await log.closed();
    expect(executor.stderr).toBe('');
  });

  test('answers connections with 503 before they use up the last, and serves those that it has', async () => {
    await using executor = await start();
    await using client = await RawClient.connect(executor.url);
    await using stack = new AsyncDisposableStack();
    let status = 101;
    for (let number = 0; number < DESCRIPTORS && status === 101; number++) {
      // The answer closes its connection, so that it holds none itself.
      ({ status } = await ask(executor.url));
      if (status === 101) stack.use(await RawClient.connect(executor.url).catch(() => client));
    }
    expect(status).toBe(503);
    expect((await ask(executor.url)).body).toContain('ulimit -n');
    expect(await client.request('environment/status', {})).toEqual({ status: 'ready' });
    expect(await ask(executor.url, { path: '/readyz', upgrade: false })).toMatchObject({ status: 200 });
  });

  test('lives through a flood of connections that say nothing', async () => {
    await using executor = await start();
    await using client = await RawClient.connect(executor.url);
    const { hostname, port } = new URL(executor.url);
    const sockets: Socket[] = [];
    for (let number = 0; number < 2 * DESCRIPTORS; number++) {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      await once(socket, 'connect');
      sockets.push(socket);
    }
    await until(
      SETTLED_MS,
      () => openDescriptors(executor.pid) >= DESCRIPTORS - 2,
      () => `${openDescriptors(executor.pid)} descriptors are open`,
    );
    expect(await client.request('environment/status', {})).toEqual({ status: 'ready' });
    await expect(client.start({ processId: 'p', argv: ['/bin/true'] })).rejects.toMatchObject({
      code: -32603,
      data: { kind: 'resourceLimit', errno: 24 },
    });
    for (const socket of sockets) socket.destroy();
    let served = false;
    const again = async (): Promise<void> => {
      const { status } = await ask(executor.url, { path: '/readyz', upgrade: false });
      served = status === 200;
    };
    await until(
      SETTLED_MS,
      () => {
        again().catch(() => {});
        return served;
      },
      () => 'the listener does not answer',
    );
    const log = await client.start({ processId: 'p', argv: ['/bin/true'] });
    await log.closed();
    expect(executor.stderr).toBe('');
  });
});
