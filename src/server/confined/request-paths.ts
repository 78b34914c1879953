import type { Params } from '../../protocol/methods.ts';
import type { EnvironmentPath } from '../../protocol/path.ts';
import type { FileMethod } from '../handlers.ts';

/** What a request wants with a path. `remove`: that it is gone. */
export type Intent = 'read' | 'write' | 'remove';

export interface RequestPath {
  readonly path: Buffer;
  readonly intent: Intent;
  /** A link at the end stands for what it leads to. */
  readonly follow: boolean;
}

/** The methods that take paths, and a sandbox for them. */
export type ConfinedMethod = {
  [M in FileMethod]: 'sandbox' extends keyof Params<M> ? M : never;
}[FileMethod];

type PathsOf = { readonly [M in ConfinedMethod]: (params: Params<M>) => readonly RequestPath[] };

const one =
  (intent: Intent, follow = true) =>
  ({ path }: { readonly path: EnvironmentPath }): readonly RequestPath[] => [
    { path: path.bytes, intent, follow },
  ];
const following =
  (intent: Intent) =>
  (params: { readonly path: EnvironmentPath; readonly followSymlinks: boolean }): readonly RequestPath[] => [
    { path: params.path.bytes, intent, follow: params.followSymlinks },
  ];

const pathsOf: PathsOf = {
  'fs/readFile': following('read'),
  'fs/writeFile': following('write'),
  'fs/createDirectory': following('write'),
  'fs/getMetadata': following('read'),
  'fs/readDirectory': one('read'),
  'fs/remove': one('remove', false),
  'fs/copy': ({ sourcePath, destinationPath }) => [
    { path: sourcePath.bytes, intent: 'read', follow: false },
    { path: destinationPath.bytes, intent: 'write', follow: true },
  ],
  'fs/canonicalize': one('read'),
  'fs/walk': one('read'),
  'fs/open': (params) => following(params.mode === 'read' ? 'read' : 'write')(params),
  'fs/watchMissing': ({ missing, present }) => [
    ...missing.map(({ bytes }): RequestPath => ({ path: bytes, intent: 'read', follow: true })),
    ...(present == null ? [] : one('read')({ path: present })),
  ],
  'fs/rename': ({ sourcePath, destinationPath }) => [
    { path: sourcePath.bytes, intent: 'write', follow: false },
    { path: destinationPath.bytes, intent: 'write', follow: false },
  ],
  'fs/createSymlink': one('write', false),
  'fs/readLink': one('read', false),
  'fs/setMetadata': following('write'),
  'fs/truncate': following('write'),
  'fs/glob': one('read'),
  'fs/grep': one('read'),
  'fs/watch': one('read'),
  'fs/download': following('read'),
  'fs/upload': following('write'),
  'fs/archive': one('read'),
  'fs/manifest': one('read'),
  'fs/extract': one('write'),
};

export function isConfinedMethod(method: string): method is ConfinedMethod {
  return Object.hasOwn(pathsOf, method);
}

/** `params`: those of the method, decoded. */
export function requestPaths(method: ConfinedMethod, params: object): readonly RequestPath[] {
  return (pathsOf[method] as (params: object) => readonly RequestPath[])(params);
}
