import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { limits } from '../../protocol/limits.ts';
import type { Hop, HopChild } from '../hop.ts';
import { createArguments, execArguments } from './cli-arguments.ts';
import type { ContainerFacts, ContainerSpec, DockerEngine, EntryFacts, ExecSpec } from './engine.ts';
import { explain } from './explain.ts';
import { firstEntry } from './first-entry.ts';
import { PatientChild } from './patient-child.ts';

export interface CliEngineOptions {
  readonly hop: Hop;
  readonly engine?: string | undefined;
  readonly end: (engine: DockerEngine, container: string, spec: ExecSpec) => Promise<void>;
}

/** The engine through the program `docker`, wherever that is. */
export function cliEngine(options: CliEngineOptions): DockerEngine {
  return new CliEngine(options);
}

class CliEngine implements DockerEngine {
  readonly label: string;
  readonly #options: CliEngineOptions;

  constructor(options: CliEngineOptions) {
    this.#options = options;
    this.label = `the Docker engine of ${options.hop.label}`;
  }

  async inspect(container: string, signal: AbortSignal): Promise<ContainerFacts> {
    const format = '{{.Id}} {{.State.Status}}';
    const said = await this.#say(
      container,
      ['container', 'inspect', '--format', format, '--', container],
      signal,
    );
    const [id = '', status = ''] = said.trim().split(' ');
    return { id, status };
  }

  async architecture(image: string, signal: AbortSignal): Promise<string> {
    const args = ['image', 'inspect', '--format', '{{.Architecture}}', '--', image];
    return (await this.#say(image, args, signal)).trim();
  }

  async create(spec: ContainerSpec, signal: AbortSignal): Promise<string> {
    return (await this.#say(spec.image, createArguments(spec), signal)).trim();
  }

  async run(container: string, signal: AbortSignal): Promise<HopChild> {
    const child = await this.#spawn(['container', 'start', '--attach', '--interactive', container], signal);
    return new PatientChild(child, async () => this.remove(container));
  }

  async remove(container: string): Promise<void> {
    const signal = AbortSignal.timeout(limits.containerRemovalMs);
    const deadline = Date.now() + limits.containerRemovalMs;
    const remove = ['container', 'rm', '--force', '--volumes', container];
    // The engine may be removing it already, and is done when it is not there.
    for (;;) {
      try {
        await this.#say(container, remove, signal);
        await this.inspect(container, signal);
      } catch (error) {
        const said = String(error);
        if (/no such container/i.test(said)) return;
        if (!/in progress/.test(said) || Date.now() > deadline) throw error;
      }
      await new Promise((resolve) => void setTimeout(resolve, limits.endPollMs));
    }
  }

  async put(container: string, folder: string, tar: Readable, signal: AbortSignal): Promise<void> {
    await using child = await this.#spawn(['container', 'cp', '-', `${container}:${folder}`], signal);
    const sent = pipeline(tar, child.stdin).catch((error: unknown) => error);
    await this.#result(container, child);
    // The end of its input is not told where it has ended before.
    if (tar.errored !== null) throw explain(tar.errored, this.#target(container));
    await sent;
  }

  async entry(container: string, place: string, signal: AbortSignal): Promise<EntryFacts | undefined> {
    await using child = await this.#spawn(['container', 'cp', `${container}:${place}`, '-'], signal);
    child.stdin.end();
    const errors = tail(child.stderr);
    const found = await firstEntry(child.stdout).catch(() => undefined);
    if (found !== undefined) return found;
    await child.exited;
    const said = await errors;
    if (/could not find the file|no such file|not found/i.test(said)) return undefined;
    throw explain(new Error(said), this.#target(container));
  }

  async exec(container: string, spec: ExecSpec, signal: AbortSignal): Promise<HopChild> {
    const child = await this.#spawn(execArguments(container, spec), signal);
    return new PatientChild(child, async () => this.#options.end(this, container, spec));
  }

  async #spawn(args: readonly string[], signal: AbortSignal): Promise<HopChild> {
    const { hop, engine } = this.#options;
    try {
      const env = engine === undefined ? undefined : { DOCKER_HOST: engine };
      return await hop.spawn({ program: 'docker', args, env }, signal);
    } catch (error) {
      throw explain(error, this.#target('docker'));
    }
  }

  /** What a command says that ends by itself. */
  async #say(target: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    await using child = await this.#spawn(args, signal);
    child.stdin.end();
    return await this.#result(target, child);
  }

  async #result(target: string, child: HopChild): Promise<string> {
    const [said, errors, { code }] = await Promise.all([
      tail(child.stdout),
      tail(child.stderr),
      child.exited,
    ]);
    if (code === 0) return said;
    throw explain(new Error(errors === '' ? `docker ended with ${code}` : errors), this.#target(target));
  }

  #target(name: string): { engine: string; target: string } {
    return { engine: this.label, target: JSON.stringify(name.slice(0, limits.saidCharacters)) };
  }
}

async function tail(stream: Readable): Promise<string> {
  let text = '';
  try {
    for await (const part of stream) text = (text + String(part)).slice(-limits.saidCharacters);
  } catch {
    // What came is what there is.
  }
  return text;
}
