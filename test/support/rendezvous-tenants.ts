import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';

import { type CliChild, type Folder, cliFolder, startCli } from './cli-program.ts';

/** Who the tests are, by their tokens: two tenants, with an executor, an orchestrator and others. */
export const tokens = {
  executor: 'acme-executor-token',
  otherExecutor: 'acme-other-executor-token',
  orchestrator: 'acme-orchestrator-token',
  otherOrchestrator: 'acme-other-orchestrator-token',
  /** Of the environments `ci-*` only. */
  ciExecutor: 'acme-ci-executor-token',
  ciOrchestrator: 'acme-ci-orchestrator-token',
  expired: 'acme-expired-token',
  foreignExecutor: 'globex-executor-token',
  foreignOrchestrator: 'globex-orchestrator-token',
} as const;

const digest = (token: string): string => createHash('sha256').update(token).digest('hex');

const entry = (token: keyof typeof tokens, role: string, more: object = {}): object => ({
  sha256: digest(tokens[token]),
  tenant: token.startsWith('foreign') ? 'globex' : 'acme',
  subject: token,
  roles: [role],
  ...more,
});

/** As the file has them. */
export function tokenEntries(): object[] {
  return [
    entry('executor', 'executor'),
    entry('otherExecutor', 'executor'),
    entry('orchestrator', 'orchestrator'),
    entry('otherOrchestrator', 'orchestrator'),
    entry('ciExecutor', 'executor', { environments: ['ci-*'] }),
    entry('ciOrchestrator', 'orchestrator', { environments: ['ci-*'] }),
    entry('expired', 'orchestrator', { expires: '2020-01-01T00:00:00Z' }),
    entry('foreignExecutor', 'executor'),
    entry('foreignOrchestrator', 'orchestrator'),
  ];
}

export interface Service extends AsyncDisposable {
  readonly url: string;
  readonly folder: Folder;
  readonly child: CliChild;
}

/** A rendezvous of its own in a process of its own, with the tokens above. `limits`: as `NAME=N`. */
export async function startService(
  options: {
    readonly args?: readonly string[];
    readonly limits?: readonly string[];
    readonly folder?: Folder;
    /** False: nobody is asked. */
    readonly tokens?: boolean;
  } = {},
): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  const folder = options.folder ?? stack.use(await cliFolder());
  await writeFile(folder.at('tokens.json'), JSON.stringify({ tokens: tokenEntries() }), { mode: 0o600 });
  const limits = (options.limits ?? []).flatMap((limit) => ['--limit', limit]);
  const access = options.tokens === false ? [] : ['--tokens', folder.at('tokens.json')];
  const args = ['rendezvous', ...access, ...limits, ...(options.args ?? [])];
  const child = stack.use(startCli(args));
  const url = (await child.stdout.shows('\n')).trimEnd();
  const moved = stack.move();
  return { url, folder, child, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}
