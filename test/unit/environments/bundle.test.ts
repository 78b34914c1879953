import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { archive } from '../../../scripts/bundle/archive.ts';
import { ensureBundle } from '../../../src/environments/bundle/bundle.ts';

let folder = '';
let file = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'exec-bundle-'));
  file = path.join(folder, 'own-linux-arm64.tar.gz');
  await writeFile(file, gzipSync('content'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a bundle is where the option says, or the variable, and is known by its digest', async () => {
  const digest = createHash('sha256').update(gzipSync('content')).digest('hex');
  const variables = { EXEC_SERVER_BUNDLE: '/no/such/file' };
  const bundle = await ensureBundle({ bundle: file, variables });
  expect(bundle).toMatchObject({ digest, arch: 'arm64' });
  expect(Buffer.concat((await bundle.read().toArray()) as Buffer[])).toEqual(gzipSync('content'));
  await expect(ensureBundle({ variables })).rejects.toThrow(
    /^bundle: the portable bundle for \w+ \(as EXEC_SERVER_BUNDLE names it\) is not there; `npm run bundle`/,
  );
});

test('where nothing says, it is beside the package, for the architecture that is asked for', async () => {
  await expect(ensureBundle({ variables: {} }, 'riscv64')).rejects.toThrow(
    /for riscv64 \(bundle\/exec-server-linux-riscv64\.tar\.gz in the package\) is not there/,
  );
});

test('what is no archive is refused', async () => {
  const other = path.join(folder, 'text');
  await writeFile(other, 'text');
  await expect(ensureBundle({ bundle: other, variables: {} })).rejects.toThrow(/is no \.tar\.gz/);
});

test('a file that changes while it is read fails at its end', async () => {
  const bundle = await ensureBundle({ bundle: file, variables: {} });
  await writeFile(file, gzipSync('another content'));
  await expect(bundle.read().toArray()).rejects.toThrow(/has changed while it was read/);
});

test('the same files are the same archive, in whatever order they come', async () => {
  const files = [
    { name: 'b/two', content: Buffer.from('2') },
    { name: 'a', content: Buffer.from('1'), executable: true },
  ];
  expect(await archive(files)).toEqual(await archive(files.toReversed()));
});
