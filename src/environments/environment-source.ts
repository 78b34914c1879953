import type { ConnectOptions, ExecClient } from '../client/exec-client.ts';
import type { Transport } from '../rpc/transport.ts';
import type { Hop } from './hop.ts';

/** How one environment is reached. */
export interface EnvironmentSource {
  /** `local`, `command`, `url`, `rendezvous`, `ssh`, `docker`, or what code brings. */
  readonly kind: string;
  /** For errors and logs: no secrets, no arguments. */
  readonly label: string;
  /** The environment that it is reached through. */
  readonly via?: string | undefined;
  /** Opens it; called again after it was lost or an attempt has failed. Rejects with an error that says what to do. */
  open(context: OpenContext): Promise<OpenedEnvironment>;
  /**
   * A connection of its own on which nothing has been said yet, for those who speak the protocol themselves: to the same executor where
   * several connections can meet it, to another one where a connection starts its executor.
   */
  dial?(context: OpenContext): Promise<Transport>;
}

export interface OpenContext {
  readonly id: string;
  /** Aborts when the environment is no longer wanted. */
  readonly signal: AbortSignal;
  /** Client name, times, what to tell of the connection. */
  readonly connect: ConnectOptions;
  /** Takes a line of a child's standard error, for the log. */
  readonly onLog: (line: string) => void;
  /** Where commands can be started inside another environment of the same manager (`via`). */
  hop(id: string): Promise<Hop>;
}

/** A session with the executor of an environment. Its disposal ends the session, and what was started to have one. */
export interface OpenedEnvironment extends AsyncDisposable {
  readonly client: ExecClient;
  /** The same as of its source, where that needs what was opened. */
  dial?(signal: AbortSignal): Promise<Transport>;
}
