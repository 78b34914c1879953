import { posix } from 'node:path';
import type { ExecClient, StartOptions } from '../../client/exec-client.ts';
import type { RemoteProcess } from '../../client/remote-process.ts';
import { type Environment, pathForm } from '../environment.ts';
import { EnvironmentError } from '../environment-error.ts';
import { type EnvironmentFiles, filesOf } from '../environment-files.ts';
import { type SandboxContext, sandboxContext } from '../sandbox-context.ts';
import { type EnvironmentLookup, type Selection, type WorkspaceSettings, noneSelected } from './selection.ts';

/** What to start in a turn. The sandbox is the turn's, and cwd is relative to the selection's. */
export type TurnStart = Omit<StartOptions, 'cwd' | 'sandbox'> & {
  /** One of the selected environments; the first one if absent. */
  readonly environmentId?: string;
  readonly cwd?: string;
};

/** One turn of work, with the settings that held when it began. */
export class Turn {
  readonly settings: WorkspaceSettings;
  readonly #manager: EnvironmentLookup;

  constructor(settings: WorkspaceSettings, manager: EnvironmentLookup) {
    this.settings = settings;
    this.#manager = manager;
  }

  /** One of the selected environments, the first one without an id. Throws an EnvironmentError where there is none. */
  environment(id?: string): Environment {
    return this.#manager.get(this.#selection(id).environmentId);
  }

  async start({ environmentId, cwd, ...options }: TurnStart): Promise<RemoteProcess> {
    const { environment, base, sandbox } = await this.#place(environmentId);
    const where = cwd === undefined ? base : posix.resolve(base, cwd);
    // Nothing to confine is said, too, or the environment would say something else.
    return environment.processes.start({ ...options, cwd: where, sandbox: sandbox ?? null });
  }

  /** The files as the turn may use them. */
  files(environmentId?: string): EnvironmentFiles {
    // An environment that is not selected is told at once.
    this.#selection(environmentId);
    return filesOf(async () => {
      const { client, sandbox } = await this.#place(environmentId);
      return sandbox === undefined ? client.files : client.filesIn(sandbox);
    });
  }

  /** What the turn is confined to, for what is done with a client of its environment; undefined: nothing. */
  async sandbox(environmentId?: string): Promise<SandboxContext | undefined> {
    return (await this.#place(environmentId)).sandbox;
  }

  async #place(id: string | undefined): Promise<{
    readonly environment: Environment;
    readonly client: ExecClient;
    readonly base: string;
    readonly sandbox: SandboxContext | undefined;
  }> {
    const selection = this.#selection(id);
    const environment = this.#manager.get(selection.environmentId);
    const client = await environment.client();
    const base = selection.cwd ?? (await environment.cwd());
    return { environment, client, base, sandbox: this.#sandbox(environment, selection, base, client) };
  }

  #selection(id: string | undefined): Selection {
    const { environments } = this.settings;
    const selection =
      id === undefined ? environments[0] : environments.find((one) => one.environmentId === id);
    if (selection !== undefined) return selection;
    if (id === undefined) throw noneSelected();
    const text = `Environment ${JSON.stringify(id.slice(0, 64))} is not selected. Select it before using it.`;
    throw new EnvironmentError('unknown', id, text);
  }

  #sandbox(
    environment: Environment,
    selection: Selection,
    cwd: string,
    client: ExecClient,
  ): SandboxContext | undefined {
    const policy = this.settings.sandbox ?? environment.sandbox;
    if (policy === undefined) return undefined;
    const workspaceRoots = selection.workspaceRoots ?? [cwd];
    return sandboxContext(policy, { cwd, workspaceRoots, path: pathForm(client) });
  }
}
