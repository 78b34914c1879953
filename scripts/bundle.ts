import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { type BundledFile, archive, byName, sha256 } from './bundle/archive.ts';
import { bundleCode } from './bundle/code.ts';
import { requiredGlibc, setRunPath } from './bundle/elf.ts';
import { licences } from './bundle/licences.ts';

/**
 * Makes the portable bundle: `npm run bundle [folder]`. One archive with Node, the executor and its native parts, for Linux with glibc and
 * nothing else. docs/environments.md has its layout.
 */
const root = path.join(import.meta.dirname, '..');
const built = path.join(root, 'build', 'Release');
const natives = ['exec_server_native.node', 'exec-server-reaper', 'exec_server_confine'];
/** What Node needs besides glibc. Those of the target come first: they belong to its glibc. */
const runtimes = /\/(libstdc\+\+\.so\.6|libgcc_s\.so\.1)/;
const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const systemFolders = [`/usr/lib/${triplet}`, `/lib/${triplet}`, '/usr/lib64', '/lib64', '/usr/lib', '/lib'];

/** Wherever it is called from, and through a link, too. */
const launcher = `#!/bin/sh
here=$(dirname -- "$(readlink -f -- "$0")") || exit 127
exec "$here/node" "$here/../lib/main.js" "$@"
`;

if (process.platform !== 'linux') throw new Error('The portable bundle is made on Linux, for Linux.');
const folder = path.resolve(process.argv[2] ?? path.join(root, 'bundle'));
await mkdir(folder, { recursive: true });
const files = await collect();
const content = await archive(files);
const file = path.join(folder, `exec-server-linux-${process.arch}.tar.gz`);
await writeFile(`${file}.new`, content);
await rename(`${file}.new`, file);
console.log(file);
console.log(`  sha256  ${sha256(content)}`);
console.log(`  size    ${mebibytes(content.length)} MiB, unpacked ${mebibytes(total(files))} MiB`);
for (const { name, content: bytes } of files.filter((one) => one.content.length > 1024 * 1024))
  console.log(`          ${mebibytes(bytes.length).padStart(6)} MiB ${name}`);
console.log(
  `  glibc   ${manifestOf(files).glibc}; ${manifestOf(files).glibcAlone} where the target has no libstdc++`,
);

async function collect(): Promise<BundledFile[]> {
  const { files: code, packages } = await bundleCode(root);
  const node = setRunPath(
    await stripped(process.execPath),
    [...systemFolders, '$ORIGIN/../runtime'].join(':'),
  );
  const libraries = await runtimeLibraries();
  const parts: BundledFile[] = [
    { name: 'bin/node', content: node, executable: true },
    { name: 'bin/exec-server', content: Buffer.from(launcher), executable: true },
    ...libraries,
    ...[...code].map(([name, bytes]) => ({ name: `lib/${name}`, content: bytes })),
  ];
  for (const name of natives)
    parts.push({ name: `build/Release/${name}`, content: await native(name), executable: true });
  const names = libraries.map(({ name }) => path.basename(name));
  parts.push({ name: 'LICENSES', content: Buffer.from(await licences(root, packages, names)) });
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  const described = { name: 'exec-server', version, type: 'module' };
  parts.push({ name: 'package.json', content: Buffer.from(`${JSON.stringify(described, null, 2)}\n`) });
  const own = parts.filter(({ name }) => /^(?:bin|build)\//.test(name)).map(({ content: bytes }) => bytes);
  const manifest = {
    version,
    node: process.version,
    arch: process.arch,
    glibc: requiredGlibc(own),
    glibcAlone: requiredGlibc([...own, ...libraries.map(({ content: bytes }) => bytes)]),
    files: Object.fromEntries(byName(parts).map(({ name, content: bytes }) => [name, sha256(bytes)])),
  };
  parts.push({ name: 'manifest.json', content: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) });
  return parts;
}

async function native(name: string): Promise<Buffer> {
  return readFile(path.join(built, name)).catch((cause: unknown) => {
    throw new Error(
      `build/Release/${name} is missing: \`npm ci\` builds it where the C library has a static form.`,
      {
        cause,
      },
    );
  });
}

/** Symbols for debuggers are a seventh of Node. Where there is no \`strip\` they stay. */
async function stripped(program: string): Promise<Buffer> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'exec-server-bundle-'));
  try {
    const target = path.join(scratch, 'node');
    await promisify(execFile)('strip', ['-o', target, program]);
    return await readFile(target);
  } catch {
    console.log('Node keeps its symbols: `strip` (package binutils) does not work here.');
    return await readFile(program);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Those that this Node runs with. */
async function runtimeLibraries(): Promise<BundledFile[]> {
  const maps = await readFile('/proc/self/maps', 'utf8');
  const found = new Map(
    maps.split('\n').flatMap((line) => {
      const [, place = ''] = /\s(\/\S+)$/.exec(line) ?? [];
      const name = runtimes.exec(place)?.[1];
      return name === undefined ? [] : [[name, place] as const];
    }),
  );
  const libraries = await Promise.all(
    [...found].map(async ([name, place]) => ({
      name: `runtime/${name}`,
      content: await readFile(await realpath(place)),
    })),
  );
  return byName(libraries);
}

function manifestOf(parts: readonly BundledFile[]): { readonly glibc: string; readonly glibcAlone: string } {
  const manifest = parts.find(({ name }) => name === 'manifest.json');
  return JSON.parse(manifest?.content.toString() ?? '{}') as { glibc: string; glibcAlone: string };
}

function total(parts: readonly BundledFile[]): number {
  return parts.reduce((sum, { content: bytes }) => sum + bytes.length, 0);
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
