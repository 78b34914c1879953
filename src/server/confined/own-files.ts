import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { joinPath, realPath, splitLast } from '../../disk/folder.ts';
import { type Destination, findDestination } from '../../sandbox/canonical.ts';
import { type ResolvedSandbox, type Rule, comparePaths, isAtOrBelow } from '../../sandbox/rules.ts';
import { platformPaths } from '../../sandbox/targets.ts';
import { nearestRule } from '../../sandbox/verdict.ts';
import { addonFile } from '../../support/native.ts';

/** Libraries that a worker loads. Those that they need are found by their package files. */
const libraries = ['picomatch', 'tar-stream'];

export interface WorkerSandbox {
  /** What the profile says, and what the platform needs to run programs where it says nothing: what a client may do. */
  readonly granted: ResolvedSandbox;
  /** The same with what a worker's process itself has to read. */
  readonly enforced: ResolvedSandbox;
  /** What is only there for that. */
  readonly lifted: readonly Buffer[];
}

/** What a worker has to read becomes readable in its sandbox. Where a profile denies it, it stays denied to the client. */
export async function withOwnFiles(profile: ResolvedSandbox): Promise<WorkerSandbox> {
  if (profile.fileSystem.kind === 'unrestricted') return { granted: profile, enforced: profile, lifted: [] };
  const { own, platform } = await needed();
  const rules = new Map(profile.fileSystem.rules.map((rule) => [keyOf(rule.path), rule]));
  for (const one of platform) {
    const around = nearestRule(profile.fileSystem.rules, one.destination.path);
    const isNamed = around !== undefined && around.path.length > 1;
    if (!isNamed && (around?.access ?? 'none') === 'none')
      rules.set(keyOf(one.destination.path), readRule(one, 'what the platform needs'));
  }
  const granted = withRules(profile, rules);
  const lifted: Buffer[] = [];
  for (const one of own) {
    const { path: place } = one.destination;
    const around = nearestRule([...rules.values()], place);
    if ((around?.access ?? 'none') === 'none') {
      rules.set(keyOf(place), readRule(one, "the executor's own files"));
      lifted.push(place);
    }
    for (const rule of rules.values()) {
      if (rule.access !== 'none' || rule.kind === 'missing' || !isAtOrBelow(rule.path, place)) continue;
      rules.set(keyOf(rule.path), { ...rule, access: 'read' });
      lifted.push(rule.path);
    }
  }
  return { granted, enforced: withRules(profile, rules), lifted };
}

function withRules(sandbox: ResolvedSandbox, rules: ReadonlyMap<string, Rule>): ResolvedSandbox {
  const { fileSystem } = sandbox;
  if (fileSystem.kind === 'unrestricted') return sandbox;
  const sorted = [...rules.values()].sort((a, b) => comparePaths(a.path, b.path));
  return { ...sandbox, fileSystem: { ...fileSystem, rules: sorted } };
}

function readRule({ destination, names }: Needed, source: string): Rule {
  const { path: real, kind, identity } = destination;
  const aliases = names.filter((name) => !name.equals(real));
  return {
    path: real,
    place: real,
    access: 'read',
    source,
    kind,
    identity,
    firstMissing: undefined,
    protectedMetadata: false,
    aliases,
  };
}

interface Needed {
  readonly destination: Destination;
  /** By which it is called, too. */
  readonly names: readonly Buffer[];
}

interface AllNeeded {
  readonly own: readonly Needed[];
  readonly platform: readonly Needed[];
}

let found: Promise<AllNeeded> | undefined;

/** Found once: an executor does not outlive its own files. */
async function needed(): Promise<AllNeeded> {
  found ??= (async () => {
    const code = fileURLToPath(new URL('../../', import.meta.url));
    const root = path.dirname(code);
    const paths = [
      process.execPath,
      code,
      path.join(root, 'package.json'),
      fileURLToPath(addonFile),
      ...(await packageFolders(root)),
    ];
    const own = [...(await Promise.all(paths.map(findNeeded))), ...(await sharedLibraries())];
    return { own: merged(own), platform: merged(await Promise.all(platformPaths.map(findNeeded))) };
  })();
  return found;
}

async function findNeeded(name: string): Promise<Needed | undefined> {
  const written = Buffer.from(name.length > 1 && name.endsWith('/') ? name.slice(0, -1) : name);
  const destination = await findDestination(written).catch(() => undefined);
  return destination?.identity === undefined ? undefined : { destination, names: [written] };
}

function merged(all: readonly (Needed | undefined)[]): Needed[] {
  const byPath = new Map<string, Needed>();
  for (const one of all) {
    if (one === undefined) continue;
    const key = keyOf(one.destination.path);
    const names = [...(byPath.get(key)?.names ?? []), ...one.names];
    byPath.set(key, { destination: one.destination, names });
  }
  return [...byPath.values()];
}

/** The folders of the libraries and of what they depend on, as Node would find them from here. */
async function packageFolders(root: string): Promise<string[]> {
  const folders = new Set<string>();
  const visit = async (name: string, from: string): Promise<void> => {
    for (let folder = from; ; folder = path.dirname(folder)) {
      const place = path.join(folder, 'node_modules', name);
      const text = await readFile(path.join(place, 'package.json'), 'utf8').catch(() => undefined);
      if (text !== undefined) {
        if (folders.has(place)) return;
        folders.add(place);
        const real = (await realPath(Buffer.from(place))).toString();
        const { dependencies = {} } = JSON.parse(text) as { dependencies?: Record<string, string> };
        for (const next of Object.keys(dependencies)) await visit(next, real);
        return;
      }
      if (folder === path.dirname(folder)) return;
    }
  };
  for (const name of libraries) await visit(name, root);
  return [...folders];
}

/** What this process, which is the same program, has loaded: with the links beside each, by which loaders ask for it. */
async function sharedLibraries(): Promise<Needed[]> {
  const maps = await readFile('/proc/self/maps', 'latin1').catch(() => '');
  const files = new Set(maps.split('\n').flatMap((line) => /(\/\S*\.so(?:\.\S*)?)$/.exec(line)?.[1] ?? []));
  const loaders = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'];
  const libraries = [...files].map(async (file): Promise<Needed | undefined> => {
    const needed = await findNeeded(file);
    if (needed === undefined) return undefined;
    const { parent } = splitLast(needed.destination.path);
    const beside = await readdir(parent, { encoding: 'buffer', withFileTypes: true }).catch(() => []);
    const links = beside.filter((entry) => entry.isSymbolicLink()).map(({ name }) => joinPath(parent, name));
    const leads = async (link: Buffer): Promise<boolean> =>
      (await realPath(link).catch(() => undefined))?.equals(needed.destination.path) ?? false;
    const names: Buffer[] = [];
    for (const link of links) if (isNamedAlike(link, file) && (await leads(link))) names.push(link);
    return { destination: needed.destination, names };
  });
  const all = await Promise.all([...libraries, ...loaders.map(findLoader)]);
  return all.filter((one) => one !== undefined);
}

/** By its name, and by the same where the folder of the name really is. */
async function findLoader(name: string): Promise<Needed | undefined> {
  const needed = await findNeeded(name);
  if (needed === undefined) return undefined;
  const folder = await realPath(Buffer.from(path.dirname(name)));
  return { ...needed, names: [...needed.names, joinPath(folder, Buffer.from(path.basename(name)))] };
}

/** Of the same library, whatever the version: a directory of the system has thousands of links. */
function isNamedAlike(link: Buffer, file: string): boolean {
  const stem = path.basename(file).split('.so')[0] ?? '';
  return splitLast(link).name.toString('latin1').startsWith(stem);
}

function keyOf(bytes: Buffer): string {
  return bytes.toString('latin1');
}
