import { mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  createHome,
  environmentWithHome,
  installCodex,
  launchExecutor,
  type RunningExecutor,
} from '../test/support/reference.ts';

/** An executor that can be started any number of times. */
export interface Target {
  readonly name: string;
  /** What is started, for the header. */
  readonly description: string;
  /** The working directory of processes, in the encoding that this executor expects. */
  readonly cwd: string;
  readonly launch: () => Promise<Launched>;
}

export interface Launched extends RunningExecutor {
  /** `performance.now()` just before the process was spawned, and when its address was there. */
  readonly spawnedAt: number;
  readonly listeningAt: number;
}

const ROOT = path.resolve(import.meta.dirname, '..');
const WORKING_DIRECTORY = '/tmp';
/** Releases before this one take a native path as `cwd`, later ones a `file:` URI. */
const FIRST_RELEASE_WITH_URIS = [0, 145];

/** Ours: the built package when it is up to date, the sources otherwise, or what the command line says. */
export async function ownTarget(command: string | undefined): Promise<Target> {
  if (command !== undefined) {
    const [program = '', ...args] = command.trim().split(/\s+/u);
    // The same Node for both ways of starting ours.
    const executable = program === 'node' ? process.execPath : program;
    return target('ours', `${command} (as given)`, executable, args, uri());
  }
  const built = await isBuilt();
  const entry = built ? 'dist/main.js' : 'src/main.ts';
  const why = built ? 'the build is up to date' : 'no build, or one older than the sources';
  return target('ours', `node ${entry} (${why})`, process.execPath, [path.join(ROOT, entry)], uri());
}

/** The native binary itself: its npm wrapper would add the start of a Node process. */
export async function referenceTarget(version: string): Promise<Target> {
  const binary = await installCodex(version);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [firstMajor = 0, firstMinor = 0] = FIRST_RELEASE_WITH_URIS;
  const old = major === firstMajor && minor < firstMinor;
  return target(
    `reference@${version}`,
    'codex exec-server (native binary)',
    binary,
    ['exec-server'],
    old ? WORKING_DIRECTORY : uri(),
  );
}

/** An executor that does nothing: what remains is the cost of this client, of Node and of the loopback. */
export function nullTarget(): Target {
  const script = path.join(import.meta.dirname, 'null-executor.ts');
  return target('null', 'node bench/null-executor.ts', process.execPath, [script], uri());
}

function target(name: string, description: string, command: string, args: string[], cwd: string): Target {
  const launch = async (): Promise<Launched> => {
    const home = await createHome('bench');
    await mkdir(path.join(home, '.codex'));
    const env = environmentWithHome(home);
    const spawnedAt = performance.now();
    const executor = await launchExecutor({
      command,
      args: [...args, '--listen', 'ws://127.0.0.1:0'],
      cwd: ROOT,
      env,
      home,
    });
    return { ...executor, spawnedAt, listeningAt: performance.now() };
  };
  return { name, description, cwd, launch };
}

function uri(): string {
  return pathToFileURL(WORKING_DIRECTORY).href;
}

async function isBuilt(): Promise<boolean> {
  const built = await modified(path.join(ROOT, 'dist', 'main.js'));
  if (built === undefined) return false;
  const sources = await readdir(path.join(ROOT, 'src'), { recursive: true, withFileTypes: true });
  const times = await Promise.all(
    sources
      .filter((entry) => entry.isFile())
      .map((entry) => modified(path.join(entry.parentPath, entry.name))),
  );
  return times.every((time) => time === undefined || time < built);
}

async function modified(file: string): Promise<number | undefined> {
  const found = await stat(file).catch(() => undefined);
  return found?.mtimeMs;
}
