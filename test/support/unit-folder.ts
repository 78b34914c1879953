import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'exec-server-unit-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** What a descriptor of this process leads to; empty where it is closed. */
export function openFile(fd: string | number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

/** What the descriptors of this process lead to. */
export function openFiles(): string[] {
  return readdirSync('/proc/self/fd').map(openFile);
}

/** How many files below the folder this process has open, unlinked ones included. */
export function openFilesIn(folder: string): number {
  return openFiles().filter((path) => path.startsWith(`${folder}/`)).length;
}
