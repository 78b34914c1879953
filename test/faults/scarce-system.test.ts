import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requirePrograms } from '../support/conformance-programs.ts';
import { RawClient } from '../support/faults-client.ts';
import { launchExecutor } from '../support/faults-executor.ts';

const MiB = 1024 * 1024;
/** Of a user whom nobody else uses: the limit counts all processes of a user, and does not hold for root. */
const UNUSED_UID = 61_537;

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'scarce-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** In a namespace of its own the executor sees a disk of a MiB at the folder; it goes with the executor. */
function onSmallDisk(): string[] {
  const root = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const script = 'mount -t tmpfs -o size=1m small "$1" && shift && exec "$@"';
  return ['unshare', ...root, '--mount', '/bin/sh', '-c', script, 'sh', folder];
}

describe('a disk that is full', () => {
  test('costs output, which is named, and nothing else', async (context) => {
    requirePrograms(['unshare'], context);
    const flags = ['--journal-dir', folder, '--limit', 'journalMemoryBytes=65536'];
    await using executor = await launchExecutor({ wrap: onSmallDisk() }, ...flags);
    await using client = await RawClient.connect(executor.url);
    // Nobody takes the output, so that it has to wait on the disk.
    const argv = ['/bin/sh', '-c', 'head -c 8388608 /dev/zero; echo end >&2; exit 7'];
    const started = await client.request('process/start', {
      processId: 'flood',
      argv,
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
      tty: false,
    });
    expect(started.processId).toBe('flood');
    let read = await client.request('process/read', { processId: 'flood', afterSeq: 0, waitMs: 0 });
    while (!read.closed) {
      const afterSeq = read.nextSeq - 1;
      read = await client.request('process/read', { processId: 'flood', afterSeq, waitMs: 30_000 });
    }
    expect(read).toMatchObject({ exitCode: 7 });
    const again = await client.request('process/read', { processId: 'flood', afterSeq: 0 });
    expect(again.gap?.bytes).toBeGreaterThan(4 * MiB);
    const log = await client.start({ processId: 'next', argv: ['/bin/echo', 'next'] });
    await log.closed();
    expect(log.content().toString()).toBe('next\n');
    expect(executor.stderr).toBe('');
  });

  test('refuses writes with its error, and takes them again when there is room', async (context) => {
    requirePrograms(['unshare'], context);
    await using executor = await launchExecutor({ wrap: onSmallDisk() });
    await using client = await RawClient.connect(executor.url);
    const write = (name: string, bytes: number, atomic = false): Promise<unknown> =>
      client.request('fs/writeFile', {
        path: path.join(folder, name),
        dataBase64: Buffer.alloc(bytes).toString('base64'),
        atomic,
      });
    const full = { code: -32603, message: expect.stringContaining('(os error 28)') as string };
    await write('small', MiB / 2, true);
    await expect(write('large', MiB)).rejects.toMatchObject(full);
    await client.request('fs/remove', { path: path.join(folder, 'large') });
    await expect(write('small', MiB, true)).rejects.toMatchObject(full);
    // What was to be replaced is whole, and nothing half written stays.
    const { entries } = await client.request('fs/readDirectory', { path: folder });
    expect(entries.map(({ fileName }) => fileName)).toEqual(['small']);
    const { dataBase64 } = await client.request('fs/readFile', { path: path.join(folder, 'small') });
    expect(Buffer.from(dataBase64, 'base64')).toHaveLength(MiB / 2);
    await write('fits', MiB / 4);
    expect(executor.stderr).toBe('');
  });
});

describe('a fork that is refused', () => {
  test('is the answer to its start, and nothing else', async (context) => {
    requirePrograms(['prlimit'], context);
    const uid = process.getuid?.() === 0 ? UNUSED_UID : undefined;
    await using executor = await launchExecutor({ uid });
    await using client = await RawClient.connect(executor.url);
    const running = await client.start({ processId: 'cat', argv: ['/bin/cat'], pipeStdin: true });
    // By the same user: root may lack the right to do it to others.
    const user = uid === undefined ? {} : { uid, gid: uid };
    const limit = (processes: number): unknown =>
      execFileSync('prlimit', ['--pid', String(executor.pid), `--nproc=${processes}:`], {
        ...user,
        cwd: '/',
      });
    limit(1);
    for (const tty of [false, true]) {
      const start = client.start({ processId: `refused-${tty}`, argv: ['/bin/true'], tty });
      await expect(start).rejects.toMatchObject({
        code: -32603,
        message: expect.stringContaining('(os error 11)') as string,
        data: { kind: 'resourceLimit', errno: 11 },
      });
    }
    // A search needs a thread, which is refused like a process.
    const file = path.join(folder, 'file');
    await writeFile(file, 'needle\n');
    await chmod(folder, 0o755);
    const search = client.request('fs/grep', { path: file, pattern: 'needle' });
    await expect(search).rejects.toMatchObject({
      code: -32603,
      message: expect.stringContaining('(os error 11)') as string,
    });
    expect(await client.request('environment/status', {})).toEqual({ status: 'ready' });
    await client.request('process/write', { processId: 'cat', chunk: btoa('goes on\n') });
    await client.request('process/closeStdin', { processId: 'cat' });
    await running.closed();
    expect(running.content().toString()).toBe('goes on\n');

    limit(4096);
    const log = await client.start({ processId: 'again', argv: ['/bin/true'] });
    await log.closed();
    expect(executor.stderr).toBe('');
  });
});
