import { basename, join, posix } from 'node:path';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { RemoteFiles } from '../client/exec-client.ts';
import { ConfigError } from '../config.ts';
import { toError } from '../support/to-error.ts';
import { progressBar } from './progress.ts';
import { type TargetFlags, openTarget } from './target.ts';

/** A path of the command line: of this machine, or of the environment. */
export type Operand = { readonly side: 'local' | 'remote'; readonly path: string };

/** `env:/path` names a path of the environment that --url or --command reach. */
export function parseOperand(text: string): Operand {
  const match = /^env:(.*)$/s.exec(text);
  if (match === null) return { side: 'local', path: text };
  const path = match[1] ?? '';
  if (!path.startsWith('/'))
    throw new ConfigError(`${text}: a path of the environment is absolute, as in env:/tmp/file`);
  return { side: 'remote', path };
}

export interface CopyFlags extends TargetFlags {
  readonly recursive?: boolean;
}

/** Copies a file or directory to the environment or back. Into an existing directory it goes under its own name. */
export async function cp(from: string, to: string, flags: CopyFlags): Promise<number> {
  const [source, destination] = [parseOperand(from), parseOperand(to)];
  if (source.side === destination.side) {
    throw new ConfigError(
      'one of the two paths must be of the environment (env:/path), the other of this machine',
    );
  }
  await using target = await openTarget(flags);
  const { files } = target.client;
  const up = source.side === 'local';
  if ((await naming(from, isDirectory(files, source))) && !flags.recursive) {
    throw new ConfigError(`${from} is a directory; use -r`);
  }
  const into = await isDirectory(files, destination).catch(() => false);
  const name = basename(source.path);
  const inside = up ? posix.join(destination.path, name) : join(destination.path, name);
  const path = into ? inside : destination.path;
  using bar = progressBar(process.stderr, name);
  const copy = files[up ? 'upload' : 'download'](source.path, path, {
    onProgress: (now) => bar.show(now),
  });
  const summary = await naming(`${from} to ${to}`, copy);
  if (summary.skipped) process.stderr.write(`exec-server: ${summary.skipped} special files were left out\n`);
  return 0;
}

async function isDirectory(files: RemoteFiles, { side, path }: Operand): Promise<boolean> {
  return side === 'local' ? (await stat(path)).isDirectory() : (await files.stat(path)).isDirectory;
}

export async function ls(operand: string, flags: TargetFlags & { readonly long?: boolean }): Promise<number> {
  await using target = await openTarget(flags);
  const { files } = target.client;
  await about(operand, async (path) => {
    const entries = await files.list(path);
    entries.sort((one, other) => (one.fileName < other.fileName ? -1 : 1));
    for (const entry of entries) {
      const kind = entry.isSymlink ? '@' : entry.isDirectory ? '/' : '';
      if (!flags.long) {
        process.stdout.write(`${entry.fileName}${kind}\n`);
        continue;
      }
      const found = await files.stat(entry.uri ?? posix.join(path, entry.fileName), {
        followSymlinks: false,
      });
      const size = String(found.size ?? 0).padStart(12);
      const time = new Date(found.modifiedAtMs).toISOString();
      process.stdout.write(`${octal(found.mode)} ${size} ${time} ${entry.fileName}${kind}\n`);
    }
  });
  return 0;
}

export async function cat(operands: readonly string[], flags: TargetFlags): Promise<number> {
  await using target = await openTarget(flags);
  for (const operand of operands) {
    await about(operand, (path) =>
      pipeline(target.client.files.readStream(path), process.stdout, { end: false }),
    );
  }
  return 0;
}

export async function rm(
  operands: readonly string[],
  flags: TargetFlags & { readonly recursive?: boolean; readonly force?: boolean },
): Promise<number> {
  await using target = await openTarget(flags);
  const { recursive = false, force = false } = flags;
  for (const operand of operands) {
    await about(operand, (path) => target.client.files.remove(path, { recursive, force }));
  }
  return 0;
}

export async function statPath(operand: string, flags: TargetFlags): Promise<number> {
  await using target = await openTarget(flags);
  await about(operand, async (path) => {
    const found = await target.client.files.stat(path, { followSymlinks: false });
    const shown = { ...found, ...(found.mode !== undefined && { mode: octal(found.mode) }) };
    for (const [name, value] of Object.entries(shown)) process.stdout.write(`${name}: ${String(value)}\n`);
  });
  return 0;
}

/** Does something with a path of the environment, given with or without `env:`. */
async function about(operand: string, work: (path: string) => Promise<void>): Promise<void> {
  const { path } = parseOperand(operand.startsWith('env:') ? operand : `env:${operand}`);
  await naming(operand, work(path));
}

/** A failure says what of the command line it is about. */
async function naming<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new Error(`${what}: ${toError(cause).message}`, { cause });
  }
}

function octal(mode: number | undefined): string {
  return (mode ?? 0).toString(8).padStart(4, '0');
}
