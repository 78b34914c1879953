import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Plugin, build as bundleFiles } from 'esbuild';

/** Programs of their own: the executor, the worker in a sandbox, the search thread, the helper in a container. */
const programs = [
  'main.ts',
  'server/confined/worker.ts',
  'file-system/search/worker.ts',
  'environments/docker/inside.ts',
];

/** Optional accelerators of other libraries, native code; and what only an orchestrator needs. Looked for nowhere in the target. */
const leftOut = /^(?:bufferutil|utf-8-validate|dockerode)$/;

export interface BundledCode {
  /** Paths below `lib`, with their contents. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** The folders of the packages that are in it. */
  readonly packages: readonly string[];
}

/** The executor and all that it imports, as the files that Node loads. */
export async function bundleCode(root: string): Promise<BundledCode> {
  const sources = path.join(root, 'src');
  const result = await bundleFiles({
    absWorkingDir: root,
    entryPoints: programs.map((file) => path.join(sources, file)),
    outbase: sources,
    outdir: path.join(root, 'lib'),
    chunkNames: 'part-[hash]',
    bundle: true,
    splitting: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    logLevel: 'warning',
    banner: {
      js: "import{createRequire as libraryRequire}from'node:module';const require=libraryRequire(import.meta.url);",
    },
    plugins: [ownPlaces(sources), withoutOptional],
  });
  const files = new Map(
    result.outputFiles.map((file) => [
      path.relative(path.join(root, 'lib'), file.path),
      Buffer.from(file.contents),
    ]),
  );
  const packages = Object.keys(result.metafile.inputs).flatMap(
    (input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [],
  );
  return { files, packages: [...new Set(packages)].sort() };
}

/** A part lies in `lib`, a program in a folder of it; no folder in it has the same name. */
const bundleRoot = `
  const here = import.meta.url;
  export const bundleRoot = here.slice(0, here.lastIndexOf('/lib/') + 5);
`;

/** Our files find their neighbours from where they are. Wherever their code ends up, it goes on to speak of `lib/` in place of `src/`. */
function ownPlaces(sources: string): Plugin {
  return {
    name: 'own-places',
    setup: (build) => {
      build.onResolve({ filter: /^bundle-root$/ }, () => ({ path: 'bundle-root', namespace: 'bundle-root' }));
      build.onLoad({ filter: /.*/, namespace: 'bundle-root' }, () => ({
        contents: bundleRoot,
        loader: 'js',
      }));
      build.onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
        if (!file.startsWith(`${sources}${path.sep}`)) return undefined;
        const text = await readFile(file, 'utf8');
        const place = path.relative(sources, file).replace(/\.ts$/, '.js');
        const contents = text.replaceAll(
          'import.meta.url',
          `new URL(${JSON.stringify(place)}, bundleRoot).href`,
        );
        return {
          contents: contents === text ? text : `import { bundleRoot } from 'bundle-root';\n${contents}`,
          loader: 'ts',
        };
      });
    },
  };
}

const withoutOptional: Plugin = {
  name: 'without-optional',
  setup: (build) => {
    build.onResolve({ filter: leftOut }, ({ path: name }) => ({ path: name, namespace: 'left-out' }));
    build.onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path: name }) => ({
      contents: `throw new Error(${JSON.stringify(`The portable bundle is without ${name}.`)});`,
      loader: 'js',
    }));
  },
};
