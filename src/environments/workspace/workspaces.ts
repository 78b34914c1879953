import { randomUUID } from 'node:crypto';
import { type EnvironmentLookup, type WorkspaceChange, WorkspaceError, changed } from './selection.ts';
import { Workspace, type WorkspaceState } from './workspace.ts';

/** The workspaces of a manager that are live. */
export class Workspaces {
  readonly #manager: EnvironmentLookup;
  readonly #live = new Map<string, Workspace>();

  constructor(manager: EnvironmentLookup) {
    this.#manager = manager;
  }

  /** Without `environments` it works in the default one, at `cwd`. Everything is checked before there is a workspace. */
  start(settings: WorkspaceChange & { readonly id?: string } = {}): Workspace {
    const { id = randomUUID(), ...change } = settings;
    if (this.#live.has(id)) throw new WorkspaceError('id', `workspace "${id}" is live; resume it`);
    const checked = changed(undefined, change, this.#manager);
    const workspace = new Workspace(id, checked, this.#manager, () => this.#live.delete(id));
    this.#live.set(id, workspace);
    return workspace;
  }

  /** The workspace itself where it is live, whatever its state says by now; else one made from its state. */
  resume(idOrState: string | WorkspaceState): Workspace {
    const id = typeof idOrState === 'string' ? idOrState : idOrState.id;
    const live = this.#live.get(id);
    if (live !== undefined) return live;
    if (typeof idOrState === 'string') {
      throw new WorkspaceError(
        'id',
        `no live workspace has the id ${JSON.stringify(id.slice(0, 64))}; give its state`,
      );
    }
    const { cwd, environments, sandbox } = idOrState;
    return this.start({ id, cwd, environments, sandboxPolicy: sandbox });
  }
}
