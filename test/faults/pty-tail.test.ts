import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pseudoRandomBytes, sha256 } from '../support/faults-bytes.ts';
import { RawClient } from '../support/faults-client.ts';
import { startExecutor } from '../support/faults-executor.ts';

const RUNS = 20;
const AT_ONCE = 4;
const content = pseudoRandomBytes(3_000_000);

/** A folder with a file of that content. */
async function contentFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'exec-server-tail-'));
  await writeFile(join(path, 'content'), content);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

/** Programs that end right after their last byte, with the output's last part still on its way. */
const cases = [
  { name: 'a PTY', tty: true, argv: ['/bin/sh', '-c', 'stty raw -echo; exec cat content'] },
  { name: 'pipes', tty: false, argv: ['/bin/cat', 'content'] },
  {
    name: 'standard error',
    tty: false,
    argv: ['/bin/sh', '-c', 'exec cat content >&2'],
  },
];

describe.each(cases)('3 MB of output on $name that end with the process', ({ tty, argv }) => {
  test(`arrive to the last byte, ${RUNS} times of ${RUNS}`, async () => {
    await using folder = await contentFolder();
    await using executor = await startExecutor();
    await using client = await RawClient.connect(executor.url);
    for (let first = 0; first < RUNS; first += AT_ONCE) {
      const runs = Array.from({ length: AT_ONCE }, (_, offset) => `run-${first + offset}`);
      await Promise.all(
        runs.map(async (processId) => {
          const log = await client.start({ processId, argv, tty, cwd: folder.path });
          const closed = await log.closed();
          expect(log.bytes, processId).toBe(content.length);
          expect(log.digest(), processId).toBe(sha256(content));
          expect(closed, processId).toMatchObject({ droppedBytes: 0, streamsEnded: true });
          expect(log.exit, processId).toMatchObject({ exitCode: 0, endReason: 'exited' });
        }),
      );
    }
  });
});
