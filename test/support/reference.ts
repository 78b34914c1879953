import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';

/** An executor that listens on a WebSocket; disposing it ends its process and removes its folder. */
export interface RunningExecutor extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

export interface ExecutorLaunch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** A folder that belongs to this executor alone and goes with it. */
  readonly home: string;
}

/** A start takes well under a second; the rest is for a loaded machine. */
const LISTEN_DEADLINE_MS = 30_000;
const TERMINATE_GRACE_MS = 5_000;
const INSTALL_DEADLINE_MS = 180_000;
/** Enough for a stack trace; only used in error texts. */
const KEPT_STDERR_CHARS = 8_192;

const TARGETS: Partial<Record<string, { readonly package: string; readonly triple: string }>> = {
  'linux-x64': { package: 'codex-linux-x64', triple: 'x86_64-unknown-linux-musl' },
  'linux-arm64': { package: 'codex-linux-arm64', triple: 'aarch64-unknown-linux-musl' },
  'darwin-x64': { package: 'codex-darwin-x64', triple: 'x86_64-apple-darwin' },
  'darwin-arm64': { package: 'codex-darwin-arm64', triple: 'aarch64-apple-darwin' },
};

const installations = new Map<string, Promise<string>>();

/** The path of a release's native binary; the release is fetched from npm when the cache lacks it. */
export function installCodex(version: string): Promise<string> {
  const known = installations.get(version) ?? install(version);
  installations.set(version, known);
  return known;
}

/**
 * A new folder beside the cached releases. Not below the system's temporary folder: the CLI refuses to create its helper
 * commands in a home that lies there.
 */
export async function createHome(prefix: string): Promise<string> {
  const parent = path.join(cacheFolder(), 'homes');
  await mkdir(parent, { recursive: true });
  return mkdtemp(path.join(parent, `${prefix}-`));
}

/** This process's environment with a home of its own, without what would steer Node or the CLI. */
export function environmentWithHome(home: string, extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:CODEX_|OPENAI_|VITEST|XDG_|NODE_OPTIONS$)/u.test(name),
  );
  return { ...Object.fromEntries(kept), HOME: home, CODEX_HOME: path.join(home, '.codex'), ...extra };
}

/** Starts the executor of a Codex release: the implementation that ours has to agree with. */
export async function startReferenceExecutor(
  version: string,
  flags: readonly string[] = [],
): Promise<RunningExecutor> {
  const command = await installCodex(version);
  const home = await createHome('reference');
  const env = environmentWithHome(home);
  await mkdir(path.join(home, '.codex'));
  return launchExecutor({
    command,
    args: ['exec-server', '--listen', 'ws://127.0.0.1:0', ...flags],
    cwd: home,
    env,
    home,
  });
}

/** Spawns an executor and waits for the one line on stdout that tells its address. */
export async function launchExecutor(launch: ExecutorLaunch): Promise<RunningExecutor> {
  const child = spawn(launch.command, launch.args, {
    cwd: launch.cwd,
    env: launch.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`exit status ${code ?? signal ?? 'unknown'}`));
  });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR_CHARS);
  });
  const listening = new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const url = /^(ws:\/\/\S+)\n/u.exec(stdout)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
  const stop = async () => {
    if (child.pid !== undefined) {
      child.kill('SIGTERM');
      if ((await within(TERMINATE_GRACE_MS, ended)) === undefined) killGroup(child.pid);
      await ended;
      killGroup(child.pid);
    }
    await rm(launch.home, { recursive: true, force: true });
  };
  const name = [launch.command, ...launch.args].join(' ');
  const first = await within(
    LISTEN_DEADLINE_MS,
    Promise.race([listening.then((url) => ({ url })), ended.then((reason) => ({ reason }))]),
  );
  if (first === undefined || 'reason' in first || child.pid === undefined) {
    await stop();
    const reason =
      first !== undefined && 'reason' in first ? first.reason : `${LISTEN_DEADLINE_MS} ms passed`;
    throw new Error(`${name} announced no address: ${reason}\nstdout: ${stdout}\nstderr: ${stderr}`);
  }
  return { url: first.url, pid: child.pid, [Symbol.asyncDispose]: stop };
}

/** What the promise brings, or undefined when the time passed first. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ends whatever is left of a group whose leader was spawned detached. */
export function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    const gone = error instanceof Error && 'code' in error && error.code === 'ESRCH';
    if (!gone) throw error;
  }
}

/** The port of a server that listens on TCP. */
export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on TCP');
  return address.port;
}

/** `EXEC_SERVER_CODEX_CACHE` names another folder; the releases stay there between runs. */
function cacheFolder(): string {
  const { EXEC_SERVER_CODEX_CACHE: own, XDG_CACHE_HOME: shared } = process.env;
  return path.resolve(own || path.join(shared || path.join(homedir(), '.cache'), 'exec-server', 'codex'));
}

async function install(version: string): Promise<string> {
  const folder = path.join(cacheFolder(), version);
  const cached = await findBinary(folder);
  if (cached !== undefined) return cached;
  await mkdir(cacheFolder(), { recursive: true });
  const staging = await mkdtemp(path.join(cacheFolder(), `installing-${version}-`));
  try {
    await writeFile(path.join(staging, 'package.json'), '{"private":true}\n');
    await runNpm(staging, `@openai/codex@${version}`);
    // Another process may have finished first: then its copy stays and this one goes.
    await rename(staging, folder).catch(async (error: unknown) => {
      if ((await findBinary(folder)) === undefined) throw error;
    });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  const binary = await findBinary(folder);
  if (binary === undefined) throw new Error(`@openai/codex@${version} brought no native binary to ${folder}`);
  return binary;
}

/** The binary's place within the package depends on the release: 0.169.0 has it in `bin/`, 0.129.0 in `codex/`. */
async function findBinary(folder: string): Promise<string | undefined> {
  const platform = `${process.platform}-${process.arch}`;
  const target = TARGETS[platform];
  if (target === undefined) throw new Error(`Codex has no native binary for ${platform}`);
  const vendor = path.join(folder, 'node_modules', '@openai', target.package, 'vendor', target.triple);
  for (const binary of [path.join(vendor, 'bin', 'codex'), path.join(vendor, 'codex', 'codex')]) {
    const found = await access(binary).then(
      () => true,
      () => false,
    );
    if (found) return binary;
  }
  return undefined;
}

async function runNpm(folder: string, specification: string): Promise<void> {
  const child = spawn('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', specification], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: INSTALL_DEADLINE_MS,
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR_CHARS);
  });
  await once(child, 'close');
  if (child.exitCode !== 0) {
    const reason = child.exitCode ?? child.signalCode ?? 'no exit status';
    throw new Error(`npm install ${specification} failed with ${reason}: ${stderr}`);
  }
}
