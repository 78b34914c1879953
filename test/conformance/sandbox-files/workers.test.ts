import { readFile, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Transport } from '../../../src/rpc/transport.ts';
import type { FileWorkersOptions } from '../../../src/server/confined/file-workers.ts';
import { LineTransport } from '../../../src/rpc/line-transport.ts';
import { memoryTransportPair } from '../../../src/rpc/memory-transport.ts';
import { ExecServer } from '../../../src/server/exec-server.ts';
import { eventually, isRunning, untilGone } from '../../support/conformance-leftovers.ts';
import { executorVariables, spawnExecutor } from '../../support/conformance-targets.ts';
import { type WireClient, base64 } from '../../support/conformance-wire.ts';
import { openSession } from '../../support/files-session.ts';
import { context, place, special } from '../../support/sandbox-files-profile.ts';
import { SandboxTree } from '../../support/sandbox-files-tree.ts';
import { hasWorkers, workersOf } from '../../support/sandbox-files-workers.ts';
import { MiB, StreamView, finishParams, numbered, sha256 } from '../../support/transfer-view.ts';

let tree: SandboxTree;
const servers: ExecServer[] = [];

beforeEach(async () => {
  tree = await SandboxTree.create();
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map(async (server) => server.close()));
  expect(await workersOf(process.pid)).toEqual([]);
  for (const name of ['.agents', '.codex', '.aws'])
    await expect(stat(tree.in(name))).rejects.toThrow('ENOENT');
  await tree[Symbol.asyncDispose]();
});

interface Session {
  readonly client: WireClient;
  readonly near: Transport;
  readonly far: Transport;
}

function start(fileWorkers: FileWorkersOptions = {}): { connect: () => Promise<Session> } {
  const server = new ExecServer({ env: executorVariables('workers'), fileWorkers });
  servers.push(server);
  return {
    connect: async () => {
      const [near, far] = memoryTransportPair();
      void server.serve(far);
      return { client: await openSession(near, 'workers'), near, far };
    },
  };
}

/** Bytes that a process has read of whatever it reads. */
async function readSoFar(pid: number | undefined): Promise<number> {
  return Number(/^rchar: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

/** Profiles that differ, and need nothing on the disk. */
function profile(name: string): ReturnType<typeof context> {
  return context(tree.workspace, [special('root', 'read'), place(tree.in(name), 'none')]);
}

async function read(client: WireClient, sandbox: ReturnType<typeof context>): Promise<void> {
  await client.call('fs/readFile', { path: tree.in('f.txt'), sandbox });
}

test('one worker serves a connection as long as the profile means the same', async () => {
  const { client } = await start().connect();
  const [src, pub] = [profile('src'), profile('pub')];
  await Promise.all([read(client, src), read(client, src), read(client, src)]);
  expect(await workersOf(process.pid)).toHaveLength(1);
  await read(client, pub);
  await read(client, src);
  expect(await workersOf(process.pid)).toHaveLength(2);
});

test('what a profile denies is denied as soon as it is there', async () => {
  const { client } = await start().connect();
  const later = tree.out('later.txt');
  const sandbox = context(tree.workspace, [special('root', 'read'), place(later, 'none')]);
  await read(client, sandbox);
  await writeFile(later, 'secret');
  const error = await client.refused('fs/readFile', { path: later, sandbox });
  expect(error).toMatchObject({
    code: -32600,
    data: { sandbox: { access: 'none', rule: 'entry 2 (path none)' } },
  });
});

test('the worker that was idle longest goes when a connection has too many', async () => {
  const { client } = await start({ perConnection: 2 }).connect();
  await read(client, profile('src'));
  const [first] = await workersOf(process.pid);
  await read(client, profile('pub'));
  const [, second] = await workersOf(process.pid);
  await read(client, profile('src'));
  await read(client, profile('.env'));
  const left = await hasWorkers(process.pid, 2);
  expect(left).toContain(first);
  expect(left).not.toContain(second);
});

test('a worker with something open stays, and a request that finds no room is refused', async () => {
  const { client } = await start({ perConnection: 1 }).connect();
  await client.call('fs/open', { handleId: 'h', path: tree.in('f.txt'), sandbox: profile('src') });
  const error = await client.refused('fs/readFile', { path: tree.in('f.txt'), sandbox: profile('pub') });
  expect(error.code).toBe(-32011);
  const { chunk } = await client.call('fs/readBlock', { handleId: 'h', offset: 0, len: 6 });
  expect(Buffer.from(chunk).toString()).toBe('inside');
  await client.call('fs/close', { handleId: 'h' });
  await read(client, profile('pub'));
});

test('connections share the room of an executor, and no worker', async () => {
  const { connect } = start({ total: 2 });
  const [one, other] = [await connect(), await connect()];
  await read(one.client, profile('src'));
  const [first] = await workersOf(process.pid);
  await read(other.client, profile('src'));
  expect(await workersOf(process.pid)).toHaveLength(2);
  await read(other.client, profile('pub'));
  expect(await hasWorkers(process.pid, 2)).not.toContain(first);
});

test('an idle worker goes with what it needed on the disk, and the next request gets another one', async () => {
  const { client } = await start({ idleMs: 50 }).connect();
  await read(client, tree.workspaceWrite);
  await hasWorkers(process.pid, 0);
  await eventually('the end of placeholders', async () =>
    stat(tree.in('.agents')).then(
      () => undefined,
      () => true as const,
    ),
  );
  await read(client, tree.workspaceWrite);
});

test('a worker that dies in the middle is an error of its kind, and everything that it had is over', async () => {
  const { client } = await start().connect();
  const sandbox = tree.workspaceWrite;
  await client.call('fs/watch', { watchId: 'w', path: tree.in('src'), sandbox });
  await client.call('fs/open', { handleId: 'h', path: tree.in('f.txt'), sandbox });
  await writeFile(tree.in('large'), numbered(4 * MiB));
  const down = new StreamView(client, 's');
  await client.call('fs/download', {
    streamId: 's',
    path: tree.in('large'),
    creditBytes: 64 * 1024,
    sandbox,
  });
  await client.call('fs/watchMissing', { watchId: 1, missing: [tree.in('to-come')], sandbox });
  const [worker = 0] = await hasWorkers(process.pid, 1);
  process.kill(worker, 'SIGSTOP');
  const pending = client.request('fs/readBlock', { handleId: 'h', offset: 0, len: 1 });
  await client.call('environment/status');
  process.kill(worker, 'SIGKILL');
  expect((await pending).error).toMatchObject({ code: -32603, data: { kind: 'workerLost' } });
  expect(await down.failed()).toMatchObject({ code: -32603 });
  const told = (what: string) => (): true | undefined =>
    client.texts.some((text) => text.includes(what)) || undefined;
  await client.waitFor('the end of the watch', told('"ended":true,"reason":"worker"'));
  await client.waitFor(
    'the end of the other watch',
    told('"method":"fs/missingChanged","params":{"watchId":1}'),
  );
  expect((await client.refused('fs/readBlock', { handleId: 'h', offset: 0, len: 1 })).code).toBe(-32004);
  await client.call('fs/watch', { watchId: 'w', path: tree.in('src'), sandbox });
  await read(client, sandbox);
  expect(await hasWorkers(process.pid, 1)).not.toContain(worker);
});

test('the end of a connection ends its workers, which give up what was not finished', async () => {
  const { connect } = start();
  const { client } = await connect();
  const sandbox = tree.workspaceWrite;
  await client.call('fs/upload', { streamId: 's', path: tree.in('half'), atomic: true, sandbox });
  await client.call('stream/write', { streamId: 's', offset: 0, chunk: base64('half') });
  const [worker = 0] = await hasWorkers(process.pid, 1);
  const before = Object.keys(await tree.snapshot()).length;
  await client[Symbol.asyncDispose]();
  await untilGone(worker);
  expect(await isRunning(worker)).toBe(false);
  await eventually('the end of all that was there for the worker', async () =>
    // Three placeholders and an unfinished file.
    Object.keys(await tree.snapshot()).length === before - 4 ? true : undefined,
  );
});

test('a worker is not read while its client does not read', async () => {
  const { client, near, far } = await start().connect();
  const sandbox = tree.workspaceWrite;
  const bytes = numbered(48 * MiB);
  await writeFile(tree.in('large'), bytes);
  const down = new StreamView(client, 's');
  await client.call('fs/download', { streamId: 's', path: tree.in('large'), creditBytes: 64 * MiB, sandbox });
  near.pause();
  let last = -1;
  await eventually('the stand-still', async () => {
    const now = far.unsentBytes;
    const stands = now === last && now > MiB;
    last = now;
    return stands ? true : undefined;
  });
  expect(far.unsentBytes).toBeLessThan(8 * MiB);
  near.resume();
  await down.ended();
  expect(sha256(down.bytes)).toBe(sha256(bytes));
});

test('a client is not read while its worker does not read', async () => {
  // In memory, where all that was sent is here already, there would be nothing to hold back.
  const child = spawnExecutor(['--listen', 'stdio'], 'workers');
  const near = new LineTransport(child.stdout, child.stdin);
  const client = await openSession(near, 'workers');
  const sandbox = tree.workspaceWrite;
  const bytes = numbered(60 * MiB);
  await client.call('fs/upload', { streamId: 's', path: tree.in('up'), sandbox });
  const [worker = 0] = await hasWorkers(child.process.pid ?? 0, 1);
  process.kill(worker, 'SIGSTOP');
  const answers: Promise<unknown>[] = [];
  for (let offset = 0; offset < bytes.length; offset += MiB) {
    const chunk = base64(bytes.subarray(offset, offset + MiB));
    answers.push(client.request('stream/write', { streamId: 's', offset, chunk }));
  }
  const all = Promise.all(answers);
  all.catch(() => {});
  try {
    const before = await readSoFar(child.process.pid);
    let last = -1;
    const taken = await eventually('the stand-still', async () => {
      const now = (await readSoFar(child.process.pid)) - before;
      const stands = now === last && now > 8 * MiB;
      last = now;
      return stands ? now : undefined;
    });
    // Of 80 MiB as text.
    expect(taken).toBeLessThan(40 * MiB);
  } finally {
    process.kill(worker, 'SIGCONT');
  }
  await all;
  await client.call('stream/finish', finishParams('s', bytes));
  await client[Symbol.asyncDispose]();
  await child.expectExit();
  await untilGone(worker);
});

test('the death of an executor ends its workers, and the next one removes what they needed', async () => {
  const child = spawnExecutor(['--listen', 'stdio'], 'workers');
  const client = await openSession(new LineTransport(child.stdout, child.stdin), 'workers');
  await read(client, tree.workspaceWrite);
  const [worker = 0] = await hasWorkers(child.process.pid ?? 0, 1);
  await stat(tree.in('.agents'));
  child.process.kill('SIGKILL');
  await untilGone(worker);
  const { client: next } = await start().connect();
  await read(next, tree.workspaceWrite);
});
