import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import type Docker from 'dockerode';
import { limits } from '../../protocol/limits.ts';
import { EnvironmentConfigError } from '../environment-error.ts';
import type { HopChild, HopExit } from '../hop.ts';
import type { ContainerFacts, ContainerSpec, DockerEngine, EntryFacts, ExecSpec } from './engine.ts';
import { explain } from './explain.ts';
import { firstEntry } from './first-entry.ts';
import { MultiplexedChild } from './multiplexed.ts';

export interface ApiEngineOptions {
  /** `unix:///path` or `tcp://host:port`; `DOCKER_HOST` of `variables` if absent, and the socket of this machine if that is absent, too. */
  readonly engine?: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
  /** How an executor is ended that does not end with its input. */
  readonly end: (engine: DockerEngine, container: string, spec: ExecSpec) => Promise<void>;
}

/** The engine through its own interface, as the socket of this machine or a port of another one has it. */
export async function apiEngine(options: ApiEngineOptions): Promise<DockerEngine> {
  const { label, settings } = await engineSettings(options);
  // Loaded when somebody needs it: half of its start would be that of every user of environments.
  const { default: Client } = await import('dockerode');
  return new ApiEngine(new Client(settings), label, options.end);
}

class ApiEngine implements DockerEngine {
  readonly label: string;
  readonly #docker: Docker;
  readonly #end: ApiEngineOptions['end'];

  constructor(docker: Docker, label: string, end: ApiEngineOptions['end']) {
    this.#docker = docker;
    this.label = label;
    this.#end = end;
  }

  async inspect(container: string, abortSignal: AbortSignal): Promise<ContainerFacts> {
    return this.#about(container, async () => {
      const { Id, State } = await this.#docker.getContainer(container).inspect({ abortSignal });
      return { id: Id, status: State.Status };
    });
  }

  async architecture(image: string): Promise<string> {
    return this.#about(image, async () => {
      const { Architecture } = await this.#docker.getImage(image).inspect();
      return Architecture;
    });
  }

  async create(spec: ContainerSpec, abortSignal: AbortSignal): Promise<string> {
    const [program = '', ...args] = spec.command;
    return this.#about(spec.image, async () => {
      const { id } = await this.#docker.createContainer({
        abortSignal,
        Image: spec.image,
        Entrypoint: [program],
        Cmd: args,
        User: spec.user,
        WorkingDir: spec.workdir,
        Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
        Labels: { ...spec.labels },
        ...streams,
        OpenStdin: true,
        StdinOnce: true,
        HostConfig: {
          AutoRemove: true,
          Init: true,
          NetworkMode: spec.network,
          Mounts: spec.mounts.map(({ source, target, readOnly = false }) => ({
            Type: source.startsWith('/') ? 'bind' : 'volume',
            Source: source,
            Target: target,
            ReadOnly: readOnly,
          })),
        },
      });
      return id;
    });
  }

  async run(id: string, abortSignal: AbortSignal): Promise<HopChild> {
    const container = this.#docker.getContainer(id);
    return this.#about(id, async () => {
      const socket = await container.attach({
        abortSignal,
        stream: true,
        hijack: true,
        stdin: true,
        stdout: true,
        stderr: true,
      });
      let exit: HopExit | undefined;
      // Asked before it starts: afterwards it may be removed already.
      const waited = container.wait({ condition: 'next-exit' }).then(
        ({ StatusCode }: { StatusCode: number }) => (exit = { code: StatusCode, signal: null }),
        () => {},
      );
      try {
        await container.start({ abortSignal });
      } catch (error) {
        socket.end();
        (socket as Duplex).destroy();
        throw error;
      }
      void waited;
      return new MultiplexedChild(socket as Duplex, {
        exit: async () => exit,
        kill: async () => this.remove(id),
      });
    });
  }

  async remove(id: string): Promise<void> {
    const container = this.#docker.getContainer(id);
    await container.remove({ force: true, v: true }).catch((error: unknown) => {
      // 409: the engine is removing it already.
      if (!isStatus(error, 404) && !isStatus(error, 409)) throw explain(error, this.#target(id));
    });
    const deadline = Date.now() + limits.containerRemovalMs;
    while (await this.#exists(id)) {
      if (Date.now() > deadline)
        throw explain(new Error(`container ${id.slice(0, 12)} is not removed`), this.#target(id));
      await new Promise((resolve) => void setTimeout(resolve, limits.endPollMs));
    }
  }

  async put(id: string, folder: string, tar: Readable, abortSignal: AbortSignal): Promise<void> {
    await this.#about(id, async () => {
      const container = this.#docker.getContainer(id);
      const failed = new Promise<never>((_resolve, reject) => void tar.once('error', reject));
      await Promise.race([container.putArchive(tar, { path: folder, abortSignal }), failed]);
    });
  }

  async entry(id: string, place: string, abortSignal: AbortSignal): Promise<EntryFacts | undefined> {
    return this.#about(id, async () => {
      try {
        const tar = await this.#docker.getContainer(id).getArchive({ path: place, abortSignal });
        return await firstEntry(tar as Readable);
      } catch (error) {
        if (isStatus(error, 404)) return undefined;
        throw error;
      }
    });
  }

  async exec(id: string, spec: ExecSpec, abortSignal: AbortSignal): Promise<HopChild> {
    return this.#about(id, async () => {
      const exec = await this.#docker.getContainer(id).exec({
        abortSignal,
        Cmd: [...spec.argv],
        User: spec.user,
        WorkingDir: spec.workdir,
        Env: Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`),
        ...streams,
      });
      const socket = await exec.start({ hijack: true, stdin: true, abortSignal });
      return new MultiplexedChild(socket, {
        exit: async () => {
          const { Running, ExitCode } = await exec.inspect();
          return Running ? undefined : { code: ExitCode, signal: null };
        },
        kill: async () => this.#end(this, id, spec),
      });
    });
  }

  async #exists(id: string): Promise<boolean> {
    return this.#docker
      .getContainer(id)
      .inspect()
      .then(
        () => true,
        (error: unknown) => !isStatus(error, 404),
      );
  }

  async #about<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explain(error, this.#target(name));
    }
  }

  #target(name: string): { engine: string; target: string } {
    return { engine: this.label, target: JSON.stringify(name.slice(0, limits.saidCharacters)) };
  }
}

const streams = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false } as const;

function isStatus(error: unknown, status: number): boolean {
  return (error as { statusCode?: number }).statusCode === status;
}

async function engineSettings(
  options: Pick<ApiEngineOptions, 'engine' | 'variables'>,
): Promise<{ label: string; settings: Docker.DockerOptions }> {
  const { variables } = options;
  const text = options.engine ?? (variables['DOCKER_HOST'] || 'unix:///var/run/docker.sock');
  const url = URL.parse(text);
  const label = `the Docker engine at ${text.replace(/\/\/[^/@]*@/, '//')}`;
  if (url?.protocol === 'unix:') return { label, settings: { socketPath: url.pathname } };
  if (url?.protocol !== 'tcp:' || url.hostname === '') {
    const advice =
      'write unix:///path or tcp://host:port; an engine of another machine is reached through an `ssh` environment with `via`';
    throw new EnvironmentConfigError('engine', `"${text}" is no address of a Docker engine; ${advice}`);
  }
  const secure = (variables['DOCKER_TLS_VERIFY'] ?? '') !== '';
  const port = url.port === '' ? (secure ? 2376 : 2375) : Number(url.port);
  if (!secure) return { label, settings: { protocol: 'http', host: url.hostname, port } };
  const folder = variables['DOCKER_CERT_PATH'] ?? path.join(variables['HOME'] ?? '/', '.docker');
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map(async (name) => readFile(path.join(folder, name))),
  );
  return { label, settings: { protocol: 'https', host: url.hostname, port, ca, cert, key } };
}
