import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readFile, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { limits } from '../../protocol/limits.ts';

/**
 * A program of the bundle's own, for a container that may have no other: `place NEW FOLDER` gives an unpacked bundle its name, `end TITLE`
 * ends the executor that is called so.
 */
const [verb, first = '', second = ''] = process.argv.slice(2);
try {
  if (verb === 'place') await place(first, second);
  else if (verb === 'end') await end(first);
  else throw new Error('This program is for the container source of exec-server.');
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** Whole or not at all. Where somebody else was first, theirs stays: it has the same digest in its name. */
async function place(unpacked: string, folder: string): Promise<void> {
  try {
    await verify(unpacked);
    await rename(unpacked, folder);
  } catch (error) {
    await rm(unpacked, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    const { uid, mode } = await lstat(folder);
    if (uid !== 0 || (mode & 0o22) !== 0) throw error;
  }
}

async function verify(folder: string): Promise<void> {
  const { files } = JSON.parse(await readFile(path.join(folder, 'manifest.json'), 'utf8')) as {
    readonly files: Readonly<Record<string, string>>;
  };
  for (const [name, digest] of Object.entries(files)) {
    const hash = createHash('sha256');
    for await (const part of createReadStream(path.join(folder, name))) hash.update(part as Buffer);
    if (hash.digest('hex') !== digest) throw new Error(`${name} has not arrived as it was sent.`);
  }
}

/** Only its own title names a program: what it starts has other ones. */
async function end(title: string): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const deadline = Date.now() + limits.commandGraceMs;
    for (
      let pids = await titled(title);
      pids.length > 0 && Date.now() < deadline;
      pids = await titled(title)
    ) {
      for (const pid of pids) signalTo(pid, signal);
      await setTimeout(limits.endPollMs);
    }
  }
  if ((await titled(title)).length > 0) throw new Error('The executor does not end.');
}

async function titled(title: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found: number[] = [];
  for (const pid of pids) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
    if (line.split('\0')[0] === title || line.includes(`\0--title=${title}\0`)) found.push(Number(pid));
  }
  return found;
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
