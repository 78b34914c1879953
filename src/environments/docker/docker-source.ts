import { randomUUID } from 'node:crypto';
import { limits } from '../../protocol/limits.ts';
import type { Transport } from '../../rpc/transport.ts';
import { type Bundle, ensureBundle } from '../bundle/bundle.ts';
import { EnvironmentConfigError } from '../environment-error.ts';
import type { EnvironmentSource, OpenContext, OpenedEnvironment } from '../environment-source.ts';
import type { Hop, HopCommand } from '../hop.ts';
import { openOnHop, startExecutor } from '../hop-executor.ts';
import { apiEngine } from './api-engine.ts';
import { cliEngine } from './cli-engine.ts';
import { type DockerEngine, type ExecSpec, type Mount, ownLabel } from './engine.ts';
import { bundleFolder, installOnce, installStopped, runInside } from './install.ts';

export interface DockerSourceOptions {
  /** The name or id of a container that runs. */
  readonly container?: string | undefined;
  /** An image; a container of it is created, and removed when the environment is not needed any more. */
  readonly image?: string | undefined;
  /** Who the executor is, as `user`, `uid` or `uid:gid`; whom the container says if absent. */
  readonly user?: string | undefined;
  readonly workdir?: string | undefined;
  /** Variables of the executor, and so of what it runs; in addition to those of the container. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Of a container that is created. */
  readonly network?: string | undefined;
  readonly mounts?: readonly Mount[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Where the executor is put, in a folder of its own; the root of the container's file system if absent. */
  readonly folder?: string | undefined;
  /** Options of `exec-server serve`, such as `--limit`. */
  readonly args?: readonly string[] | undefined;
  readonly bundle?: string | undefined;
  /** See ApiEngineOptions. With `via` it is the engine that the `docker` there works with. */
  readonly engine?: string | undefined;
  /** The environment whose `docker` is used; the engine is asked from this machine if absent. */
  readonly via?: string | undefined;
  /** Usually those of this process: DOCKER_HOST and EXEC_SERVER_BUNDLE are looked up in them. */
  readonly variables: Readonly<Record<string, string>>;
}

/** An executor in a container: one that is there, or one that is created for it. The container needs glibc and nothing else. */
export function dockerSource(options: DockerSourceOptions): EnvironmentSource {
  const { container, image, via } = options;
  if ((container === undefined) === (image === undefined))
    throw new EnvironmentConfigError('container', 'name either a container that runs, or an image');
  if (container !== undefined) {
    for (const key of ['network', 'mounts', 'labels'] as const)
      if (options[key] !== undefined)
        throw new EnvironmentConfigError(
          key,
          'is for a container that is created; this one is there already',
        );
  }
  const what = container === undefined ? 'a container of an image' : 'a container';
  return {
    kind: 'docker',
    label: via === undefined ? what : `${what} inside "${via}"`,
    via,
    open: async (context) => {
      const engine = await engineOf(options, context);
      return container === undefined
        ? openImage(engine, image ?? '', options, context)
        : openContainer(engine, container, options, context);
    },
  };
}

async function engineOf(options: DockerSourceOptions, context: OpenContext): Promise<DockerEngine> {
  const { via, engine, variables } = options;
  const end = async (from: DockerEngine, container: string, { argv }: ExecSpec): Promise<void> => {
    const title = /^--title=(.+)$/.exec(argv[1] ?? '')?.[1];
    const place = argv[0]?.replace(/\/bin\/node$/, '');
    if (title === undefined || place === undefined) return;
    const signal = AbortSignal.timeout(limits.containerRemovalMs);
    await runInside(from, container, place, ['end', title], signal).catch(() => {});
  };
  if (via === undefined) return apiEngine({ engine, variables, end });
  return cliEngine({ hop: await context.hop(via), engine, end });
}

async function openContainer(
  engine: DockerEngine,
  name: string,
  options: DockerSourceOptions,
  context: OpenContext,
): Promise<OpenedEnvironment> {
  const { signal } = context;
  const { id, status } = await engine.inspect(name, signal);
  if (status !== 'running') throw notRunning(name, status);
  const bundle = await ensureBundle(options);
  const { folder = '/' } = options;
  await installOnce(engine, id, { bundle, folder, signal });
  const hop = containerHop(engine, id, options);
  const opened = await openOnHop(hop, executor(bundle, options), context);
  return { ...opened, dial: dialer(hop, bundle, options, context) };
}

async function openImage(
  engine: DockerEngine,
  image: string,
  options: DockerSourceOptions,
  context: OpenContext,
): Promise<OpenedEnvironment> {
  const { signal } = context;
  const { folder = '/', user, workdir, network, env = {}, mounts = [], labels = {} } = options;
  const bundle = await ensureBundle(options, nodeArch(await engine.architecture(image, signal)));
  const { program, args } = executor(bundle, options);
  const command = [program, ...args];
  const marked = { ...labels, [ownLabel]: context.id };
  const id = await engine.create(
    { image, user, workdir, network, env, mounts, labels: marked, command },
    signal,
  );
  try {
    await installStopped(engine, id, { bundle, folder, signal });
    const main: Hop = { label: `a container of ${engine.label}`, spawn: async () => engine.run(id, signal) };
    const opened = await openOnHop(main, { program, args }, context);
    return {
      ...opened,
      dial: dialer(containerHop(engine, id, options), bundle, options, context),
      [Symbol.asyncDispose]: async () => {
        try {
          await opened[Symbol.asyncDispose]();
        } finally {
          await engine.remove(id);
        }
      },
    };
  } catch (error) {
    await engine.remove(id).catch(() => {});
    throw error;
  }
}

/** Commands in a container, as its executors are started. */
function containerHop(engine: DockerEngine, id: string, { user, workdir }: DockerSourceOptions): Hop {
  return {
    label: `container ${id.slice(0, 12)}`,
    spawn: async ({ program, args, env, cwd }, signal) =>
      engine.exec(id, { argv: [program, ...args], user, env, workdir: cwd ?? workdir }, signal),
  };
}

function dialer(
  hop: Hop,
  bundle: Bundle,
  options: DockerSourceOptions,
  context: OpenContext,
): (signal: AbortSignal) => Promise<Transport> {
  return async (signal) =>
    (await startExecutor(hop, executor(bundle, options), { ...context, signal })).transport;
}

/** The title is how it is found among the programs of the container. */
function executor(bundle: Bundle, { folder = '/', args = [], env }: DockerSourceOptions): HopCommand {
  const place = bundleFolder(folder, bundle);
  const title = `--title=exec-server-${randomUUID()}`;
  return {
    program: `${place}/bin/node`,
    args: [title, `${place}/lib/main.js`, 'serve', '--listen', 'stdio', ...args],
    env,
  };
}

function nodeArch(name: string): string {
  return name === 'amd64' ? 'x64' : name;
}

function notRunning(name: string, status: string): EnvironmentConfigError {
  const advice = status === 'paused' ? '`docker unpause` lets it go on' : '`docker start` starts it';
  return new EnvironmentConfigError('container', `"${name}" is ${status}, and not running; ${advice}`);
}
