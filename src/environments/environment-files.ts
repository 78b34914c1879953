import type { RemoteFiles } from '../client/remote-files.ts';
import type { RemoteTrees } from '../client/remote-trees.ts';
import { RemoteGrep } from '../client/remote-search.ts';
import { toError } from '../support/to-error.ts';

/** The files of an environment: the same calls as a client's, wherever it is. */
export type EnvironmentFiles = Omit<{ readonly [K in keyof RemoteFiles]: RemoteFiles[K] }, 'trees'> & {
  readonly trees: EnvironmentTrees;
};

/** The same for trees, some entries at a time. */
export type EnvironmentTrees = { readonly [K in keyof RemoteTrees]: RemoteTrees[K] };

type FileMethod = Exclude<keyof RemoteFiles, 'trees'>;

type AsyncMethod = {
  [K in FileMethod]: ReturnType<RemoteFiles[K]> extends Promise<unknown> ? K : never;
}[FileMethod];

/** Files behind a client that is there when it is needed. */
export function filesOf(files: () => Promise<EnvironmentFiles>): EnvironmentFiles {
  const later = <K extends AsyncMethod>(name: K): RemoteFiles[K] => {
    const method = async (...args: unknown[]): Promise<unknown> => {
      const target = await files();
      return Reflect.apply(target[name] as (...args: unknown[]) => unknown, target, args);
    };
    return method as unknown as RemoteFiles[K];
  };
  return {
    trees: treesOf(async () => (await files()).trees),
    readFile: later('readFile'),
    writeFile: later('writeFile'),
    stat: later('stat'),
    list: later('list'),
    walk: later('walk'),
    createDirectory: later('createDirectory'),
    remove: later('remove'),
    copy: later('copy'),
    rename: later('rename'),
    createSymlink: later('createSymlink'),
    readLink: later('readLink'),
    realPath: later('realPath'),
    setMetadata: later('setMetadata'),
    truncate: later('truncate'),
    glob: later('glob'),
    watch: later('watch'),
    upload: later('upload'),
    download: later('download'),
    grep: (options) => {
      const leave = new AbortController();
      const grep = new RemoteGrep(() => leave.abort());
      const { signal } = options;
      const both = signal === undefined ? leave.signal : AbortSignal.any([leave.signal, signal]);
      const run = async (): Promise<void> => {
        both.throwIfAborted();
        const inner = (await files()).grep({ ...options, signal: both });
        for await (const match of inner) grep.receive([match]);
        grep.end(await inner.done);
      };
      run().catch((error: unknown) => grep.fail(toError(error)));
      return grep;
    },
    readStream: (path, range) => ReadableStream.from(read(files, path, range)),
    writeStream: (path, options) => {
      const opened = files().then((target) => target.writeStream(path, options).getWriter());
      opened.catch(() => {});
      return new WritableStream<Uint8Array>({
        write: async (bytes) => (await opened).write(bytes),
        close: async () => (await opened).close(),
        abort: async (reason: unknown) => (await opened).abort(reason),
      });
    },
  };
}

function treesOf(trees: () => Promise<EnvironmentTrees>): EnvironmentTrees {
  return {
    async *describe(...args) {
      yield* (await trees()).describe(...args);
    },
    send: async (...args) => (await trees()).send(...args),
    receive: async (...args) => (await trees()).receive(...args),
    locate: async (...args) => (await trees()).locate(...args),
    makeDirectory: async (...args) => (await trees()).makeDirectory(...args),
    remove: async (...args) => (await trees()).remove(...args),
    setMode: async (...args) => (await trees()).setMode(...args),
  };
}

async function* read(
  files: () => Promise<EnvironmentFiles>,
  ...[path, range]: Parameters<RemoteFiles['readStream']>
): AsyncGenerator<Uint8Array, void> {
  yield* (await files()).readStream(path, range);
}
