import type { EnvironmentInfo } from '../protocol/environment.ts';
import { RpcError, errorCodes } from '../protocol/errors.ts';
import { type WireParams, requests } from '../protocol/methods.ts';
import { ConnectionError } from '../rpc/connection-error.ts';
import { describe } from '../rpc/decode.ts';
import { Peer } from '../rpc/peer.ts';
import type { CloseReason, Transport } from '../rpc/transport.ts';
import { watchLiveness } from './liveness.ts';

export interface LinkEvents {
  /** Answers what is wrong with the notification, where something is. */
  onNotification(method: string, params: unknown): string | undefined;
  onEnd(reason: CloseReason): void;
}

/** What the executor says in the handshake. */
export interface Greeting {
  readonly sessionId: string;
  /** undefined: an executor that knows no taking over. */
  readonly sessionSecret: string | undefined;
  /** undefined: an executor of May 2026. */
  readonly environment: EnvironmentInfo | undefined;
  /** Processes that were named when resuming, and are not there. */
  readonly unknownProcesses: readonly string[];
}

/** One connection to an executor, from its transport to its end. */
export class Link {
  readonly peer: Peer;
  readonly #transport: Transport;
  #liveness: Disposable | undefined;

  constructor(transport: Transport, events: LinkEvents) {
    this.#transport = transport;
    this.peer = new Peer(transport, {
      onRequest: (method) => {
        throw new RpcError(
          'methodNotFound',
          `This client has no method ${JSON.stringify(method.slice(0, 128))}.`,
        );
      },
      onNotification: (method, params) => {
        const problem = events.onNotification(method, params);
        if (problem !== undefined) this.peer.close({ kind: 'protocolError', message: problem });
      },
      onClose: (reason) => {
        this.#liveness?.[Symbol.dispose]();
        events.onEnd(reason);
      },
      onInternalError: () => {},
    });
  }

  /** Opens a session, or resumes one. */
  async handshake(
    params: WireParams<'initialize'>,
    pingIntervalMs: number,
    signal: AbortSignal,
  ): Promise<Greeting> {
    const raw = await this.peer.call('initialize', params, { signal });
    const decoded = requests.initialize.result.safeParse(raw);
    if (!decoded.success) {
      throw new ConnectionError('protocol', `This is no executor: ${describe('result', decoded.error)}`);
    }
    const { sessionId, sessionSecret, environmentInfo, unknownProcesses = [] } = decoded.data;
    this.peer.notify('initialized', {});
    const environment = environmentInfo ?? (await this.#askEnvironment(signal));
    this.#watch(pingIntervalMs, environment);
    return { sessionId, sessionSecret, environment, unknownProcesses };
  }

  close(reason: CloseReason): void {
    this.peer.close(reason);
  }

  /** Over a WebSocket by its own pings. Elsewhere by a call, where the executor answers it whatever else it does. */
  #watch(intervalMs: number, environment: EnvironmentInfo | undefined): void {
    if (this.peer.closed !== undefined) return;
    const transport = this.#transport;
    const answersAlways = environment?.capabilities?.execServer !== undefined;
    if (transport.ping === undefined && !answersAlways) return;
    const ask = (): void => {
      if (transport.ping !== undefined) transport.ping();
      else this.peer.call('environment/status', undefined).catch(() => {});
    };
    const message = `the executor was silent for ${2 * intervalMs} ms`;
    this.#liveness = watchLiveness(transport, intervalMs, ask, () => this.close({ kind: 'lost', message }));
  }

  /** Executors between the two generations have the method, but do not say it in the handshake. */
  async #askEnvironment(signal: AbortSignal): Promise<EnvironmentInfo | undefined> {
    try {
      return requests['environment/info'].result.parse(
        await this.peer.call('environment/info', undefined, { signal }),
      );
    } catch (error) {
      if (error instanceof RpcError && error.code === errorCodes.methodNotFound) return undefined;
      throw error;
    }
  }
}
