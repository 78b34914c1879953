import type { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import type { EntryFacts } from './engine.ts';

/** What the first entry of a tar stream is; no more of it is read. undefined: there is none. */
export async function firstEntry(tar: Readable): Promise<EntryFacts | undefined> {
  const entries = extract();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  try {
    for await (const { header } of entries) {
      const { uid, mode, type } = header;
      return { uid, mode, isDirectory: type === 'directory' };
    }
    return undefined;
  } finally {
    tar.unpipe(entries);
    tar.destroy();
    entries.destroy();
  }
}
