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
    const selection = this.#selection(environmentId);
    const environment = this.#manager.get(selection.environmentId);
    const client = await environment.client();
    const base = selection.cwd ?? (await environment.cwd());
    const sandbox = this.#sandbox(environment, selection, base, client);
    const where = cwd === undefined ? base : posix.resolve(base, cwd);
    // Nothing to confine is said, too, or the environment would say something else.
    return environment.processes.start({ ...options, cwd: where, sandbox: sandbox ?? null });
  }

  /** The files as the turn may use them. */
  files(environmentId?: string): EnvironmentFiles {
    const selection = this.#selection(environmentId);
    return filesOf(async () => {
      const environment = this.#manager.get(selection.environmentId);
      const client = await environment.client();
      const base = selection.cwd ?? (await environment.cwd());
      const sandbox = this.#sandbox(environment, selection, base, client);
      return sandbox === undefined ? client.files : client.filesIn(sandbox);
    });
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
