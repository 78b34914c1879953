import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';

import type { TestContext } from 'vitest';

import { type LocalExecutor, connectLocal } from '../../src/environments/local.ts';
import type { ExecServerOptions } from '../../src/server/exec-server.ts';
import type { WireSandbox } from './sandbox-profiles.ts';

/** Not below /tmp, which profiles make writable. */
const beyondTmp = '/var/tmp';

export type Enforcer = 'bubblewrap' | 'landlock';

/** A folder of a test alone, gone behind it. */
export async function arena(): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await realpath(await mkdtemp(path.join(beyondTmp, 'exec-server-sandbox-')));
  return { path: folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** An executor whose host can do no more than the enforcer. */
export async function confinedExecutor(
  enforcer: Enforcer,
  more: Partial<ExecServerOptions> = {},
): Promise<LocalExecutor> {
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C' };
  return connectLocal({ env, ...(enforcer === 'landlock' && { bubblewrap: 'off' }), ...more });
}

export interface Ran {
  readonly exitCode: number;
  readonly output: string;
  readonly sandboxDenied: boolean;
}

/** Runs a shell script under a profile to its end. Rejects when it is not started. */
export async function runConfined(
  { client }: Pick<LocalExecutor, 'client'>,
  script: string,
  sandbox: WireSandbox | null,
  more: { cwd?: string; env?: Record<string, string>; argv?: string[]; tty?: boolean } = {},
): Promise<Ran> {
  const processId = `run-${(runs += 1)}`;
  const argv = more.argv ?? ['/bin/sh', '-c', script];
  const env = more.env ?? { PATH: '/usr/bin:/bin', LANG: 'C' };
  await client.call('process/start', {
    processId,
    argv,
    cwd: more.cwd ?? '/',
    env,
    tty: more.tty ?? false,
    sandbox,
  });
  let output = '';
  for (let afterSeq = 0; ;) {
    const read = await client.call('process/read', { processId, afterSeq, waitMs: 10_000 });
    output += Buffer.concat(read.chunks.map(({ chunk }) => chunk)).toString();
    afterSeq = read.nextSeq - 1;
    if (read.closed)
      return { exitCode: read.exitCode ?? -1, output, sandboxDenied: read.sandboxDenied ?? false };
  }
}
let runs = 0;

/** With CI=true a host that cannot do it fails the test, so that nothing is left out there in silence. */
export function requireSandbox(test: Pick<TestContext, 'skip'>): void {
  if (existsSync('/usr/bin/bwrap')) return;
  const note = 'bubblewrap is missing; install it with: apt-get install bubblewrap';
  if (process.env['CI'] === 'true') throw new Error(note);
  test.skip(note);
}
