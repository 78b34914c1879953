import type { ConnectOptions } from '../client/exec-client.ts';
import type { ExecServerOptions } from '../server/exec-server.ts';
import { checkEntry, checkSnapshot, localId, viaProblem } from './entry-rules.ts';
import { Environment, type EnvironmentHealth } from './environment.ts';
import { EnvironmentConfigError, EnvironmentError } from './environment-error.ts';
import { environmentHop } from './environment-hop.ts';
import type { Hop } from './hop.ts';
import { type EnvironmentEvent, LazySession } from './lazy-session.ts';
import { localHop } from './local-hop.ts';
import type { EnvironmentEntry, EnvironmentProvider, EnvironmentSnapshot } from './provider.ts';
import { checkedSetting } from './sandbox-setting.ts';
import { localSource } from './sources/local-source.ts';
import { Workspaces } from './workspace/workspaces.ts';

export interface EnvironmentManagerOptions {
  /** The executor of `local`: at least its variables, as in `{ env }`. Needed where the provider includes `local`. */
  readonly local?: ExecServerOptions;
  /** For the connections to all environments. */
  readonly connect?: ConnectOptions;
  /** Told what becomes of the environments. */
  readonly onEvent?: (event: EnvironmentEvent) => void;
}

interface Held {
  readonly environment: Environment;
  readonly session: LazySession;
  readonly via: string | undefined;
}

/**
 * Answers which environment: by id, or the default one. An id that nobody has, and one whose executor is lost, are errors that name it:
 * nothing is ever run somewhere else instead.
 */
export class EnvironmentManager implements AsyncDisposable {
  /** Threads of work in these environments. */
  readonly workspaces = new Workspaces(this);
  readonly #options: EnvironmentManagerOptions;
  /** In the order of listings. */
  readonly #held = new Map<string, Held>();
  readonly #endings = new Set<Promise<void>>();
  #defaultId: string | undefined;
  #end: Promise<void> | undefined;

  private constructor(snapshot: EnvironmentSnapshot, options: EnvironmentManagerOptions) {
    this.#options = options;
    checkSnapshot(snapshot);
    if (snapshot.includeLocal) this.#hold(this.#localEntry());
    for (const entry of snapshot.environments) this.#hold(entry);
    const chosen = snapshot.default;
    if (chosen.kind === 'environment') this.#defaultId = chosen.id;
    if (chosen.kind === 'unset' && snapshot.includeLocal) this.#defaultId = localId;
  }

  /** Asks the provider which environments there are. Reaches none of them. Rejects with an EnvironmentConfigError where something is wrong. */
  static async create(
    provider: EnvironmentProvider,
    options: EnvironmentManagerOptions = {},
  ): Promise<EnvironmentManager> {
    return new EnvironmentManager(await provider.snapshot(), options);
  }

  /** The id of the default environment; undefined: there is none. */
  get defaultId(): string | undefined {
    return this.#defaultId;
  }

  /** `local` first, where it is included, then as the provider lists them, then as they were added. */
  list(): readonly Environment[] {
    return [...this.#held.values()].map(({ environment }) => environment);
  }

  has(id: string): boolean {
    return this.#held.has(id);
  }

  /** The environment with that id, the default one without; always the same object until it is replaced. Throws an EnvironmentError. */
  get(id: string | undefined = this.#defaultId): Environment {
    this.#refuseClosed();
    if (id === undefined) {
      const text = 'There is no default environment. Name one, or configure a default.';
      throw new EnvironmentError('disabled', undefined, text);
    }
    const held = this.#held.get(id);
    if (held !== undefined) return held.environment;
    const ids = [...this.#held.keys()].map((one) => `"${one}"`).join(', ');
    const there = ids === '' ? 'There are none.' : `There are ${ids}.`;
    throw new EnvironmentError(
      'unknown',
      id,
      `No environment has the id ${JSON.stringify(id.slice(0, 64))}. ${there}`,
    );
  }

  /** Adds an environment, at the end of the list. The default stays what it is. */
  add(entry: EnvironmentEntry): Environment {
    if (this.#held.has(entry.id)) {
      throw new EnvironmentConfigError(
        'id',
        `"${entry.id}" is the id of another environment already; replace that, or choose another id`,
      );
    }
    return this.#put(entry);
  }

  /** Puts another environment in the place of the one with its id, which ends; adds it where there is none. The default stays what it is. */
  replace(entry: EnvironmentEntry): Environment {
    const before = this.#held.get(entry.id);
    const environment = this.#put(entry);
    if (before !== undefined) void this.#release(before, 'replaced');
    return environment;
  }

  /** Takes an environment away. Where it was the default, there is none from then on. Resolves when nothing is left of it. */
  async remove(id: string): Promise<void> {
    this.get(id);
    const held = this.#held.get(id);
    if (held === undefined) return;
    const user = [...this.#held].find(([, { via }]) => via === id)?.[0];
    if (user !== undefined) {
      throw new EnvironmentConfigError(
        'id',
        `environment "${user}" is reached through "${id}"; remove that before`,
      );
    }
    this.#held.delete(id);
    if (this.#defaultId === id) this.#defaultId = undefined;
    await this.#release(held, 'removed');
  }

  /** How all of them are, in the order of the list. */
  async health(options: { readonly probe?: boolean } = {}): Promise<readonly EnvironmentHealth[]> {
    return Promise.all(this.list().map(async (environment) => environment.health(options)));
  }

  /** Takes no new work anywhere, waits until what runs has ended, `graceMs` at most, and then closes everything. */
  async drain(graceMs: number): Promise<void> {
    await Promise.all(this.list().map(async (environment) => environment.drain(graceMs)));
    await this[Symbol.asyncDispose]();
  }

  /** Ends every session, what runs in it, and what was started to have it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end ??= this.#close();
    return this.#end;
  }

  #put(entry: EnvironmentEntry): Environment {
    this.#refuseClosed();
    checkEntry(entry);
    const { via } = entry.source;
    const problem =
      via === undefined
        ? undefined
        : viaProblem(
            entry.id,
            via,
            (id) => this.#held.has(id),
            (id) => this.#held.get(id)?.via,
          );
    if (problem !== undefined) throw new EnvironmentConfigError('via', problem);
    return this.#hold(entry);
  }

  #hold({ id, source, sandbox, cwd, connect }: EnvironmentEntry): Environment {
    const session = new LazySession({
      id,
      source,
      connect: { clientName: 'exec-server-environment', ...this.#options.connect, ...connect },
      onEvent: (event) => this.#options.onEvent?.(event),
      hop: async (other) => this.#hop(other),
    });
    const { kind, label, via } = source;
    const policy = sandbox === undefined ? undefined : checkedSetting(sandbox);
    const environment = new Environment({ id, kind, label, cwd, session, sandbox: policy });
    // A key that is there keeps its place.
    this.#held.set(id, { environment, session, via });
    return environment;
  }

  #localEntry(): EnvironmentEntry {
    const { local } = this.#options;
    if (local !== undefined) return { id: localId, source: localSource(local) };
    throw new EnvironmentConfigError(
      localId,
      'the provider includes this machine; say with which variables it works, as in `local: { env }`',
    );
  }

  #hop(id: string): Hop {
    const environment = this.get(id);
    if (id === localId) return localHop(this.#options.local?.env ?? {});
    return environmentHop(id, async () => environment.client());
  }

  async #release({ environment: { id }, session }: Held, code: 'replaced' | 'removed'): Promise<void> {
    const reason = new EnvironmentError(code, id, `Environment "${id}" was ${code}.`);
    const ending = session.end(reason);
    this.#endings.add(ending);
    try {
      await ending;
    } finally {
      this.#endings.delete(ending);
    }
  }

  #refuseClosed(): void {
    if (this.#end === undefined) return;
    throw new EnvironmentError('closed', undefined, 'The environment manager is closed.');
  }

  async #close(): Promise<void> {
    // What is reached through another environment ends before that.
    const waiting = new Map(this.#held);
    while (waiting.size > 0) {
      const used = new Set([...waiting.values()].map(({ via }) => via));
      const free = [...waiting].filter(([id]) => !used.has(id));
      for (const [id] of free) waiting.delete(id);
      await Promise.all(free.map(async ([id, { session }]) => session.end(closed(id))));
    }
    await Promise.all(this.#endings);
  }
}

function closed(id: string): EnvironmentError {
  return new EnvironmentError('closed', id, `Environment "${id}" is closed: its manager was closed.`);
}
