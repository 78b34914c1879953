import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { EnvironmentConfigError } from '../environment-error.ts';

/** The portable bundle: Node, the executor and its native parts, for Linux with glibc. */
export interface Bundle {
  /** SHA-256 of the archive, in hexadecimal digits. */
  readonly digest: string;
  /** As Node calls it: `x64` or `arm64`. */
  readonly arch: string;
  readonly bytes: number;
  /** The archive, a tar of gzip, from its beginning. Fails where the file is not the one of the digest any more. */
  read(): Readable;
}

export interface BundleOptions {
  /** The archive; `EXEC_SERVER_BUNDLE` of `variables` if absent, and what `npm run bundle` has made in this package if that is absent, too. */
  readonly bundle?: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
}

/** The folder of this package: of the sources, of what is built from them, and of a bundle alike. */
const packageFolder = fileURLToPath(new URL('../../../', import.meta.url));

/** Finds the bundle for that architecture. Rejects with an EnvironmentConfigError that says how to come by one. */
export async function ensureBundle(options: BundleOptions, arch: string = process.arch): Promise<Bundle> {
  const { file, source } = bundlePlace(options, arch);
  const name = /-linux-(x64|arm64)\.tar\.gz$/.exec(file)?.[1] ?? arch;
  const handle = await open(file).catch((cause: NodeJS.ErrnoException) => {
    const problem = cause.code === 'ENOENT' ? 'is not there' : `cannot be read (${cause.code})`;
    const advice =
      '`npm run bundle` in a clone of exec-server makes one, on a machine of that architecture; the option `bundle` or EXEC_SERVER_BUNDLE names it elsewhere';
    throw new EnvironmentConfigError(
      'bundle',
      `the portable bundle for ${arch} (${source}) ${problem}; ${advice}`,
      { cause },
    );
  });
  try {
    if (!(await isGzip(handle)))
      throw new EnvironmentConfigError('bundle', `the portable bundle (${source}) is no .tar.gz`);
    const known = await digestOf(file, handle);
    return { ...known, arch: name, read: () => checked(file, known.digest) };
  } finally {
    await handle.close();
  }
}

function bundlePlace({ bundle, variables }: BundleOptions, arch: string): { file: string; source: string } {
  if (bundle !== undefined) return { file: path.resolve(bundle), source: 'as the option `bundle` names it' };
  const variable = variables['EXEC_SERVER_BUNDLE'] ?? '';
  if (variable !== '') return { file: path.resolve(variable), source: 'as EXEC_SERVER_BUNDLE names it' };
  const own = path.join('bundle', `exec-server-linux-${arch}.tar.gz`);
  return { file: path.join(packageFolder, own), source: `${own} in the package` };
}

async function isGzip(handle: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(2), position: 0 });
  return bytesRead === 2 && buffer.readUInt16BE(0) === 0x1f8b;
}

interface Known {
  readonly digest: string;
  readonly bytes: number;
}

/** By file, size and time: reading 40 MiB for every environment is not for nothing, but nearly. */
const digests = new Map<string, Known>();

async function digestOf(file: string, handle: FileHandle): Promise<Known> {
  const { size, mtimeNs, ino } = await handle.stat({ bigint: true });
  const key = [file, ino, size, mtimeNs].join('\0');
  const before = digests.get(key);
  if (before !== undefined) return before;
  const hash = createHash('sha256');
  for await (const part of handle.createReadStream({ start: 0, autoClose: false }))
    hash.update(part as Buffer);
  const known = { digest: hash.digest('hex'), bytes: Number(size) };
  digests.clear();
  digests.set(key, known);
  return known;
}

/** The file, and an error in the place of its end where it is another one now. */
function checked(file: string, digest: string): Readable {
  const parts = async function* parts(): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    for await (const part of createReadStream(file, { highWaterMark: 256 * 1024 })) {
      hash.update(part as Buffer);
      yield part as Buffer;
    }
    if (hash.digest('hex') !== digest)
      throw new Error('The portable bundle has changed while it was read. Try again.');
  };
  return Readable.from(parts(), { objectMode: false });
}
