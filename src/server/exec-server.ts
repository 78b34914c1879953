import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ripgrepFinder } from '../file-system/search/ripgrep.ts';
import { JournalBudget } from '../process/journal.ts';
import { limits } from '../protocol/limits.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import type { WeakerGuarantee } from '../sandbox/plan.ts';
import { Sandboxes } from '../sandbox/sandboxes.ts';
import { type Logger, silentLogger } from '../telemetry/logger.ts';
import { FileWorkers, type FileWorkersOptions } from './confined/file-workers.ts';
import { Connection, type ConnectionShared } from './connection.ts';
import { environmentFacts } from './environment-facts.ts';
import { environmentHandlers } from './handlers/environment.ts';
import { fileHandlers } from './handlers/file-system.ts';
import { transferHandlers } from './handlers/transfer.ts';
import { processHandlers } from './handlers/process.ts';
import { searchHandlers } from './handlers/search.ts';
import { watchHandlers } from './handlers/watch.ts';
import { SessionRegistry } from './session-registry.ts';

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
}

/** An executor. Every transport meets here: `serve` is the same for all of them. */
export class ExecServer {
  readonly #connections = new Set<Connection>();
  readonly #shared: ConnectionShared;
  #draining = false;

  constructor(options: ExecServerOptions) {
    const diskBytes = options.journalDiskBytes ?? limits.journalDiskBytes;
    const budget = new JournalBudget({
      directory: options.journalDirectory ?? tmpdir(),
      bytesPerProcess: diskBytes,
      bytesTotal: options.journalDiskTotalBytes ?? limits.journalDiskTotalBytes,
      usedBytes: 0,
    });
    const { env, closedRetentionMs, detachedSessionMs, bubblewrap, allowWeaker } = options;
    const stateDirectory = options.stateDirectory ?? join(tmpdir(), `exec-server-${process.getuid?.() ?? 0}`);
    const sandboxes = new Sandboxes({ stateDirectory, bubblewrap, allowWeaker });
    const ripgrep = ripgrepFinder(options.ripgrep, env['PATH']);
    const workers = new FileWorkers(options.fileWorkers);
    this.#shared = {
      sessions: new SessionRegistry({ budget, env, sandboxes, closedRetentionMs, detachedSessionMs }),
      handlers: {
        ...environmentHandlers,
        ...processHandlers,
        ...fileHandlers,
        ...transferHandlers,
        ...watchHandlers,
        ...searchHandlers(ripgrep),
      },
      sandboxes,
      confined: { sandboxes, workers, tmpdir: env['TMPDIR'], ripgrep },
      environment: environmentFacts({
        own: env,
        diskBytes,
        host: sandboxes.host(),
        allowWeaker: allowWeaker ?? [],
      }),
      draining: () => this.#draining,
      log: options.log ?? silentLogger,
    };
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Serves one client until its connection ends. The transport has not been attached to anything yet. */
  async serve(transport: Transport): Promise<CloseReason> {
    const connection = new Connection(transport, this.#shared);
    this.#shared.log.info({ transport: transport.kind }, 'connection opened');
    this.#connections.add(connection);
    if (this.#draining) connection.close(goingAway);
    const reason = await connection.closed;
    this.#connections.delete(connection);
    return reason;
  }

  /** Ends every process, then every connection. Resolves when nothing is left. */
  async close(graceMs = 0): Promise<void> {
    this.#draining = true;
    await this.#shared.sessions.dispose('shutdown', graceMs);
    const closing = [...this.#connections].map(async (connection) => {
      connection.close(goingAway);
      await connection.closed;
    });
    await Promise.all(closing);
    await this.#shared.confined.workers.dispose();
    await this.#shared.sandboxes[Symbol.asyncDispose]();
  }
}

const goingAway: CloseReason = { kind: 'goingAway', message: 'the executor is shutting down' };
