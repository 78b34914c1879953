import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface Expected {
  readonly bytes: number;
  readonly sha256: string;
}

/** What the transfer rows send and what has to arrive. */
export interface Fixtures extends AsyncDisposable {
  /** A file that `/bin/cat` prints: no two of its blocks are alike, so that an exchange of blocks is noticed. */
  readonly outputFile: string;
  readonly output: Expected;
  readonly lineCount: number;
  readonly lines: Expected;
  /** The input in the order of writing, encoded before the clock starts. */
  readonly inputChunks: readonly string[];
  readonly input: Expected;
  /** A file that takes no place, and a folder for its copies. */
  readonly bulk: { readonly source: string; readonly folder: string; readonly bytes: number };
}

const OUTPUT_BYTES = 64 * 1024 ** 2;
const INPUT_BYTES = 16 * 1024 ** 2;
const INPUT_CHUNK_BYTES = 64 * 1024;
const BULK_BYTES = 1024 ** 3;
const LINE_COUNT = 1_000_000;

export async function createFixtures(): Promise<Fixtures> {
  const folder = await mkdtemp(path.join(tmpdir(), 'exec-server-bench-'));
  const outputFile = path.join(folder, 'output');
  const output = keystream(OUTPUT_BYTES);
  await writeFile(outputFile, output);
  const bulk = { source: path.join(folder, 'bulk'), folder: path.join(folder, 'copies'), bytes: BULK_BYTES };
  await writeFile(bulk.source, '');
  await truncate(bulk.source, bulk.bytes);
  await mkdir(bulk.folder);
  const input = output.subarray(0, INPUT_BYTES);
  const inputChunks = Array.from({ length: INPUT_BYTES / INPUT_CHUNK_BYTES }, (_, index) =>
    input.toString('base64', index * INPUT_CHUNK_BYTES, (index + 1) * INPUT_CHUNK_BYTES),
  );
  return {
    outputFile,
    output: expected(output),
    lineCount: LINE_COUNT,
    lines: expected(Buffer.from(Array.from({ length: LINE_COUNT }, (_, index) => `${index + 1}\n`).join(''))),
    inputChunks,
    input: expected(input),
    bulk,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The same bytes in every run, and none of them predictable from its neighbours. */
function keystream(length: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(length));
}

function expected(content: Buffer): Expected {
  return { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}
