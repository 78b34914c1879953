import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { z } from 'zod';

import { createHome, environmentWithHome, installCodex, killGroup, within } from '../support/reference.ts';

const REPOSITORY = path.resolve(import.meta.dirname, '..', '..');
/** A start takes well under a second; the rest is for a loaded machine. */
const START_DEADLINE_MS = 30_000;
const TERMINATE_GRACE_MS = 10_000;
const KEPT_CHARS = 8_192;

export const EXECUTOR_TOKEN = 'token-of-the-executors';
export const ORCHESTRATOR_TOKEN = 'token-of-the-orchestrators';

/** A process of these tests; disposing it ends it and removes its home. */
export interface Background extends AsyncDisposable {
  readonly pid: number;
  /** Resolves with the text as soon as standard output or error matches. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<string>;
  /** What it has said so far. */
  said(): string;
}

const ticket = z.object({ url: z.string(), transport: z.string(), executor_name: z.string() });
const environments = z.object({
  environments: z.array(
    z.object({ id: z.string(), name: z.string(), transport: z.string(), online: z.boolean() }),
  ),
});

export interface RendezvousService extends Background {
  readonly url: string;
  /** Where a front end finds the executor: good for as many connections as it makes. */
  ticket(environmentId: string): Promise<z.output<typeof ticket>>;
  list(): Promise<z.output<typeof environments>['environments']>;
}

/** Starts our service as users do, with a token for each role. */
export async function startRendezvousService(): Promise<RendezvousService> {
  const home = await createHome('rendezvous');
  const tokens = path.join(home, 'tokens.json');
  const entry = (token: string, role: string) => ({
    sha256: createHash('sha256').update(token).digest('hex'),
    roles: [role],
  });
  const list = [entry(EXECUTOR_TOKEN, 'executor'), entry(ORCHESTRATOR_TOKEN, 'orchestrator')];
  await writeFile(tokens, JSON.stringify({ tokens: list }), { mode: 0o600 });
  const args = ['src/main.ts', 'rendezvous', '--listen', 'http://127.0.0.1:0', '--tokens', tokens];
  const process_ = startBackground(process.execPath, args, environmentWithHome(home), home);
  const [, url = ''] = await process_.shows(/^(http:\/\/\S+)\n/u);
  const ask = async (method: string, place: string, body?: object): Promise<unknown> => {
    const response = await fetch(url + place, {
      method,
      headers: { authorization: `Bearer ${ORCHESTRATOR_TOKEN}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${place}: ${response.status} ${text}`);
    return JSON.parse(text) as unknown;
  };
  return {
    ...process_,
    url,
    ticket: async (id) =>
      ticket.parse(
        await ask('POST', `/cloud/environment/${id}/connect`, { ttl_seconds: 600, reusable: true }),
      ),
    list: async () => environments.parse(await ask('GET', '/v1/environments')).environments,
  };
}

/** Starts an executor of a Codex release that registers with the service. */
export async function startReferenceAt(
  service: { readonly url: string },
  release: string,
  environmentId: string,
): Promise<Background> {
  const binary = await installCodex(release);
  const home = await createHome('dialled');
  await mkdir(path.join(home, '.codex'));
  // Releases from 0.133 on call it by the other name, and take an API key in place of the variable.
  const isLater = Number(release.split('.')[1]) >= 133;
  const args = [
    'exec-server',
    '--remote',
    service.url,
    isLater ? '--environment-id' : '--executor-id',
    environmentId,
  ];
  const token = isLater ? 'CODEX_API_KEY' : 'CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN';
  const env = environmentWithHome(home, { [token]: EXECUTOR_TOKEN });
  const executor = startBackground(binary, args, env, home);
  await executor.shows(/registered with (?:executor_id|environment_id) /u);
  return executor;
}

/** Starts our executor with these flags, and waits for its line. What it creates is for its user alone, by which it can be known. */
export async function startOwnAt(
  service: { readonly url: string },
  flags: readonly string[],
): Promise<Background> {
  const home = await createHome('dialled');
  const env = environmentWithHome(home, { EXEC_SERVER_REMOTE_TOKEN: EXECUTOR_TOKEN });
  const script = 'umask 077; exec "$@"';
  const serve = ['src/main.ts', 'serve', '--remote', service.url, ...flags];
  const args = ['-c', script, 'sh', process.execPath, ...serve];
  const executor = startBackground('/bin/sh', args, env, home);
  await executor.shows(/^registered \S+ as .*\n/mu);
  return executor;
}

function startBackground(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  home: string,
): Background {
  const child = spawn(command, args, {
    cwd: REPOSITORY,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const name = [path.basename(command), ...args].join(' ');
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`exit status ${code ?? signal ?? 'unknown'}`));
  });
  let text = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text = (text + part).slice(-KEPT_CHARS);
      for (const look of waiting) look();
    });
  }
  const shows = async (pattern: RegExp): Promise<RegExpExecArray> => {
    let look = (): void => {};
    const found = new Promise<RegExpExecArray>((resolve) => {
      look = () => {
        const match = pattern.exec(text);
        if (match !== null) resolve(match);
      };
      waiting.add(look);
      look();
    });
    try {
      const match = await within(START_DEADLINE_MS, Promise.race([found, ended]));
      if (match !== undefined && typeof match !== 'string') return match;
      throw new Error(`${name} has not shown ${String(pattern)} (${match ?? 'it runs'}):\n${text}`);
    } finally {
      waiting.delete(look);
    }
  };
  return {
    pid: child.pid ?? 0,
    shows,
    ended,
    kill: (signal) => void child.kill(signal),
    said: () => text,
    [Symbol.asyncDispose]: () => stop(child, ended, home),
  };
}

async function stop(child: ChildProcess, ended: Promise<string>, home: string): Promise<void> {
  if (child.pid !== undefined) {
    child.kill('SIGTERM');
    if ((await within(TERMINATE_GRACE_MS, ended)) === undefined) killGroup(child.pid);
    await ended;
    killGroup(child.pid);
  }
  await rm(home, { recursive: true, force: true });
}
