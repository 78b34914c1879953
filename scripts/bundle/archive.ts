import { createHash } from 'node:crypto';
import { constants, gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

/** A file of the bundle. */
export interface BundledFile {
  readonly name: string;
  readonly content: Buffer;
  readonly executable?: boolean;
}

/** The same bytes for the same files: in order of their names, of one time and of nobody in particular. */
export async function archive(files: readonly BundledFile[]): Promise<Buffer> {
  const tar = pack();
  const parts: Buffer[] = [];
  const whole = (async () => {
    for await (const part of tar) parts.push(part as Buffer);
  })();
  const common = { mtime: new Date(0), uid: 0, gid: 0, uname: 'root', gname: 'root' };
  for (const name of foldersOf(files)) tar.entry({ ...common, name, type: 'directory', mode: 0o755 });
  for (const { name, content, executable = false } of byName(files)) {
    await new Promise<void>((resolve, reject) => {
      tar.entry({ ...common, name, mode: executable ? 0o755 : 0o644 }, content, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }
  tar.finalize();
  await whole;
  return gzipSync(Buffer.concat(parts), { level: constants.Z_BEST_COMPRESSION });
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

export function byName(files: readonly BundledFile[]): BundledFile[] {
  return [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function foldersOf(files: readonly BundledFile[]): string[] {
  const folders = files.flatMap(({ name }) => {
    const parts = name.split('/').slice(0, -1);
    return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  });
  return [...new Set(folders)].sort();
}
