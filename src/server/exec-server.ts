import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EgressOptions } from '../http/egress.ts';
import { HttpRequests } from '../http/http-requests.ts';
import { ripgrepFinder } from '../file-system/search/ripgrep.ts';
import { withoutSwitches } from '../process/env-policy.ts';
import { JournalBudget } from '../process/journal.ts';
import { Places } from '../process/places.ts';
import { SpillBudget } from '../process/spill-budget.ts';
import type { EnvironmentMetrics } from '../protocol/environment.ts';
import { type LimitSettings, limitSettings } from '../protocol/limit-settings.ts';
import { limits } from '../protocol/limits.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import type { WeakerGuarantee } from '../sandbox/plan.ts';
import { Sandboxes } from '../sandbox/sandboxes.ts';
import { descriptorsScarce } from '../support/descriptors.ts';
import { type Logger, silentLogger } from '../telemetry/logger.ts';
import { LoopLag } from '../telemetry/loop-lag.ts';
import { FileWorkers, type FileWorkersOptions } from './confined/file-workers.ts';
import { Connection, type ConnectionShared, type ServeOptions } from './connection.ts';
import { environmentFacts } from './environment-facts.ts';
import { environmentHandlers } from './handlers/environment.ts';
import { fileHandlers } from './handlers/file-system.ts';
import { transferHandlers } from './handlers/transfer.ts';
import { httpHandlers } from './handlers/http.ts';
import { processHandlers } from './handlers/process.ts';
import { searchHandlers } from './handlers/search.ts';
import { watchHandlers } from './handlers/watch.ts';
import { type SessionLoad, SessionRegistry } from './session-registry.ts';

export interface ExecServerOptions {
  /** The executor's own variables: what envPolicy takes from. */
  readonly env: Readonly<Record<string, string>>;
  readonly log?: Logger;
  /** Where output that does not fit into memory goes. The system's temporary directory if absent. */
  readonly journalDirectory?: string | undefined;
  /** Bytes on disk for the output of one process, and of all together. */
  readonly journalDiskBytes?: number | undefined;
  readonly journalDiskTotalBytes?: number | undefined;
  readonly closedRetentionMs?: number | undefined;
  readonly detachedSessionMs?: number | undefined;
  /** What sandboxes need on disk; a directory of this user's in the system's temporary one if absent. */
  readonly stateDirectory?: string | undefined;
  /** The path of bubblewrap, or "off". Looked for where distributions install it if absent. */
  readonly bubblewrap?: string | undefined;
  /** Guarantees of sandboxes that may be given up where this host cannot enforce them. */
  readonly allowWeaker?: readonly WeakerGuarantee[] | undefined;
  /** Bounds of the workers that do file operations in sandboxes. */
  readonly fileWorkers?: FileWorkersOptions | undefined;
  /** The path of ripgrep, or "off". Looked for in the PATH of `env` if absent. */
  readonly ripgrep?: string | undefined;
  /** Limits that differ from their defaults. */
  readonly limits?: Partial<LimitSettings> | undefined;
  /** Where http/request may go. Everywhere but to link-local addresses and metadata services if absent. */
  readonly egress?: EgressOptions | undefined;
}

/** What an executor holds. */
export interface Load extends SessionLoad {
  readonly connections: number;
}

/** An executor. Every transport meets here: `serve` is the same for all of them. */
export class ExecServer {
  /** Every limit that can be changed, as it is here. */
  readonly limits: LimitSettings;
  readonly #connections = new Set<Connection>();
  readonly #budget: JournalBudget;
  readonly #places: Places;
  #lag: LoopLag | undefined;
  readonly #shared: ConnectionShared;
  #draining = false;
  #closed = false;
  /** Resolves when everything is known that clients are told of the environment. A client that comes earlier waits for it. */
  readonly ready: Promise<void>;
  #isReady = false;

  constructor(options: ExecServerOptions) {
    this.limits = limitSettings(options.limits);
    const diskBytes = options.journalDiskBytes ?? limits.journalDiskBytes;
    const spill = new SpillBudget({
      directory: options.journalDirectory ?? tmpdir(),
      bytesPerProcess: diskBytes,
      bytesTotal: options.journalDiskTotalBytes ?? limits.journalDiskTotalBytes,
    });
    this.#budget = new JournalBudget(spill, this.limits);
    this.#places = new Places(this.limits.processes);
    const { env, closedRetentionMs, detachedSessionMs, bubblewrap, allowWeaker } = options;
    const stateDirectory = options.stateDirectory ?? join(tmpdir(), `exec-server-${process.getuid?.() ?? 0}`);
    const sandboxes = new Sandboxes({ stateDirectory, bubblewrap, allowWeaker });
    const ripgrep = ripgrepFinder(options.ripgrep, env['PATH']);
    const workers = new FileWorkers(options.fileWorkers);
    const facts = environmentFacts({
      own: env,
      memoryBytes: this.limits.journalMemoryBytes,
      diskBytes,
      host: sandboxes.host(),
      allowWeaker: allowWeaker ?? [],
    });
    this.ready = facts.complete.then(() => void (this.#isReady = true));
    this.#shared = {
      sessions: new SessionRegistry({
        budget: this.#budget,
        env,
        sandboxes,
        closedRetentionMs,
        detachedSessionMs,
        limits: this.limits,
        liveProcesses: this.limits.liveProcesses,
        places: this.#places,
      }),
      handlers: {
        ...environmentHandlers,
        ...processHandlers,
        ...fileHandlers,
        ...transferHandlers,
        ...watchHandlers,
        ...httpHandlers,
        ...searchHandlers(ripgrep),
      },
      confined: { sandboxes, workers, tmpdir: env['TMPDIR'], ripgrep },
      http: new HttpRequests({ env: withoutSwitches(env), egress: options.egress }),
      environment: facts.current,
      draining: () => this.#draining,
      metrics: () => this.metrics(),
      limits: this.limits,
      log: options.log ?? silentLogger,
    };
  }

  /** What is there now, for metrics and tests. */
  get load(): Load {
    return { connections: this.#connections.size, ...this.#shared.sessions.load };
  }

  get draining(): boolean {
    return this.#draining;
  }

  get log(): Logger {
    return this.#shared.log;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** The event loop was late for so long that clients have to take the executor for dead. */
  get stalled(): boolean {
    return (this.#lag?.longestMs ?? 0) >= this.limits.stallMs;
  }

  metrics(): EnvironmentMetrics {
    return {
      eventLoop: {
        p99LagMs: this.#lag?.p99Ms ?? 0,
        longestLagMs: this.#lag?.longestMs ?? 0,
        stalled: this.stalled,
      },
      connections: this.#connections.size,
      sessions: this.#shared.sessions.size,
      processes: this.#places.taken,
      journal: { memoryBytes: this.#budget.memoryBytes, diskBytes: this.#budget.spill.usedBytes },
      residentBytes: process.memoryUsage.rss(),
      descriptorsScarce: descriptorsScarce(this.limits.reservedDescriptors),
    };
  }

  /** From now on it is known how late the event loop runs. */
  watchEventLoop(): void {
    this.#lag ??= new LoopLag(limits.lagWindowMs);
  }

  /** Serves one client until its connection ends. The transport has not been attached to anything yet. */
  async serve(transport: Transport, options: ServeOptions = {}): Promise<CloseReason> {
    this.watchEventLoop();
    // Messages wait in their transport.
    if (!this.#isReady) await this.ready;
    const connection = new Connection(transport, this.#shared, options);
    this.#shared.log.info({ transport: transport.kind }, 'connection opened');
    this.#connections.add(connection);
    if (this.#closed) connection.close(goingAway);
    const reason = await connection.closed;
    this.#connections.delete(connection);
    return reason;
  }

  /**
   * Takes no new sessions, tells the clients, ends every process and then every connection. `graceMs`: at most, between TERM and KILL.
   * Resolves when nothing is left.
   */
  async close(graceMs = 0): Promise<void> {
    this.#draining = true;
    for (const connection of this.#connections) connection.announceDraining(graceMs);
    await this.#shared.sessions.dispose('shutdown', graceMs);
    this.#closed = true;
    const closing = [...this.#connections].map(async (connection) => {
      connection.close(goingAway);
      await connection.closed;
    });
    await Promise.all(closing);
    await this.#shared.confined.workers.dispose();
    await this.#shared.confined.sandboxes[Symbol.asyncDispose]();
    this.#lag?.[Symbol.dispose]();
    this.#lag = undefined;
  }
}

const goingAway: CloseReason = { kind: 'goingAway', message: 'the executor is shutting down' };
