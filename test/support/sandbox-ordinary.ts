import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, lchown, mkdir, mkdtemp, readFile, readdir, realpath, rm } from 'node:fs/promises';
import path from 'node:path';

import { ExecClient } from '../../src/client/exec-client.ts';
import type { LocalExecutor } from '../../src/environments/local.ts';
import { LineTransport } from '../../src/rpc/line-transport.ts';
import { asNobody } from './files-session.ts';
import type { Enforcer } from './sandbox-arena.ts';
import { expectSoon } from './unit-wait.ts';

const repository = path.resolve(import.meta.dirname, '..', '..');
const nobody = 65_534;

/** Where every user can make something, and that profiles do not make writable. */
const beyondTmp = '/var/tmp';

export interface OrdinaryOptions {
  readonly enforcer: Enforcer;
  readonly env?: Readonly<Record<string, string>>;
  /** Out of a copy of the checkout even where the user could read the checkout itself. */
  readonly copy?: boolean;
}

/** Gives everything to the user whom `ordinaryExecutor` runs as. */
export async function giveAway(folder: string): Promise<void> {
  if (asNobody().length === 0) return;
  for (const name of await readdir(folder, { recursive: true }))
    await lchown(path.join(folder, name), nobody, nobody);
  await lchown(folder, nobody, nobody);
}

/** An executor of a user without any privileges, over its standard streams, and a client of it. Nothing of it stays. */
export async function ordinaryExecutor(options: OrdinaryOptions): Promise<LocalExecutor> {
  await using stack = new AsyncDisposableStack();
  const home = await realpath(await mkdtemp(path.join(beyondTmp, 'exec-server-ordinary-')));
  stack.defer(async () => rm(home, { recursive: true, force: true }));
  const [node, root] =
    options.copy === true || !(await isReadable())
      ? await copyTo(path.join(home, 'copy'))
      : [process.execPath, repository];
  await chmod(home, 0o755);
  await mkdir(path.join(home, 'own'));
  await giveAway(path.join(home, 'own'));
  const own = (name: string): string => path.join(home, 'own', name);
  const flags = ['--listen', 'stdio', '--state-dir', own('state'), '--journal-dir', own('')];
  if (options.enforcer === 'landlock') flags.push('--bubblewrap', 'off');
  const [command = '', ...args] = [...asNobody(), node, path.join(root, 'src/main.ts'), 'serve', ...flags];
  const child = spawn(command, args, {
    cwd: '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C', HOME: own(''), ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {});
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (errors += text));
  const exited = once(child, 'exit');
  exited.catch(() => {});
  stack.defer(async () => {
    child.stdin.end();
    await expectSoon('the end of an executor', exited).finally(() => child.kill('SIGKILL'));
  });
  const transport = new LineTransport(child.stdout, child.stdin);
  const client = await ExecClient.connect({ transport }, { connectTimeoutMs: 30_000 }).catch(
    (cause: unknown) => {
      throw new Error(`An executor of an ordinary user does not serve: ${errors}`, { cause });
    },
  );
  stack.defer(async () => client.close());
  const kept = stack.move();
  return { client, [Symbol.asyncDispose]: async () => kept.disposeAsync() };
}

/** Whether that user can run the checkout where it is. */
async function isReadable(): Promise<boolean> {
  const [command, ...args] = [
    ...asNobody(),
    process.execPath,
    path.join(repository, 'src/main.ts'),
    '--version',
  ];
  if (command === process.execPath) return true;
  const child = spawn(command ?? '', args, { cwd: '/', env: {}, stdio: 'ignore' });
  const [status] = (await once(child, 'exit')) as [number | null];
  return status === 0;
}

/** What an executor needs to run, where everybody can read it. */
async function copyTo(folder: string): Promise<readonly [node: string, root: string]> {
  const add = async (name: string): Promise<void> =>
    cp(path.join(repository, name), path.join(folder, name), { recursive: true, dereference: true });
  for (const name of ['src', 'package.json']) await add(name);
  for (const name of ['exec_server_native.node', 'exec_server_confine']) await add(`build/Release/${name}`);
  for (const name of await dependencies()) await add(`node_modules/${name}`);
  const node = path.join(folder, 'node');
  await cp(process.execPath, node, { dereference: true });
  return [node, folder];
}

/** The packages of the release, with all that they depend on. */
async function dependencies(): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const visit = async (folder: string): Promise<void> => {
    const text = await readFile(path.join(folder, 'package.json'), 'utf8').catch(() => undefined);
    // One that is not beside the others is in the package that needs it.
    if (text === undefined) return;
    const { dependencies: named = {} } = JSON.parse(text) as { dependencies?: Record<string, string> };
    for (const name of Object.keys(named)) {
      if (found.has(name)) continue;
      found.add(name);
      await visit(path.join(repository, 'node_modules', name));
    }
  };
  await visit(repository);
  return found;
}
