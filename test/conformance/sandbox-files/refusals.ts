import type { Method } from '../../../src/protocol/methods.ts';
import type { SandboxTree } from '../../support/sandbox-files-tree.ts';

/** What a client sees of a refusal: the number of the system error, the code, and what decided. */
export interface Refusal {
  readonly errno: number;
  readonly code: number;
  readonly access: 'read' | 'none';
}

export const readOnly: Refusal = { errno: 30, code: -32603, access: 'read' };
export const denied: Refusal = { errno: 13, code: -32600, access: 'none' };
export const notThere: Refusal = { errno: 2, code: -32004, access: 'none' };

/** A request that writes to a path. */
export interface Write {
  readonly method: Method;
  /** `path`: where it writes; in a folder `name` is what is new. */
  readonly params: (
    target: { readonly file: string; readonly fresh: string; readonly folder: string },
    tree: SandboxTree,
  ) => object;
}

const dataBase64 = Buffer.from('new').toString('base64');

export const writes: readonly Write[] = [
  { method: 'fs/writeFile', params: ({ file }) => ({ path: file, dataBase64 }) },
  { method: 'fs/writeFile', params: ({ fresh }) => ({ path: fresh, dataBase64 }) },
  { method: 'fs/writeFile', params: ({ file }) => ({ path: file, dataBase64, atomic: true }) },
  {
    method: 'fs/writeFile',
    params: ({ fresh }) => ({ path: `${fresh}/a/b`, dataBase64, createParents: true }),
  },
  { method: 'fs/writeFile', params: ({ file }) => ({ path: file, dataBase64, followSymlinks: false }) },
  { method: 'fs/createDirectory', params: ({ fresh }) => ({ path: fresh }) },
  { method: 'fs/createDirectory', params: ({ fresh }) => ({ path: fresh, recursive: false }) },
  { method: 'fs/remove', params: ({ file }) => ({ path: file }) },
  { method: 'fs/remove', params: ({ folder }) => ({ path: folder }) },
  {
    method: 'fs/copy',
    params: ({ fresh }, tree) => ({ sourcePath: tree.in('f.txt'), destinationPath: fresh, recursive: false }),
  },
  {
    method: 'fs/copy',
    params: ({ fresh }, tree) => ({ sourcePath: tree.in('src'), destinationPath: fresh, recursive: true }),
  },
  {
    method: 'fs/rename',
    params: ({ fresh }, tree) => ({ sourcePath: tree.in('f.txt'), destinationPath: fresh }),
  },
  {
    method: 'fs/rename',
    params: ({ file }, tree) => ({ sourcePath: file, destinationPath: tree.in('got') }),
  },
  { method: 'fs/createSymlink', params: ({ fresh }) => ({ path: fresh, target: 'anywhere' }) },
  { method: 'fs/setMetadata', params: ({ file }) => ({ path: file, mode: 0o600 }) },
  { method: 'fs/setMetadata', params: ({ file }) => ({ path: file, modifiedAtMs: 1000 }) },
  { method: 'fs/truncate', params: ({ file }) => ({ path: file, size: 0 }) },
  { method: 'fs/open', params: ({ file }) => ({ handleId: 'refused', path: file, mode: 'replace' }) },
  { method: 'fs/upload', params: ({ file }) => ({ streamId: 'refused', path: file }) },
  { method: 'fs/upload', params: ({ file }) => ({ streamId: 'refused', path: file, atomic: true }) },
];
