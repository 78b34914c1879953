import type { Socket } from 'node:net';
import { RelayStreams } from '../../relay/relay-streams.ts';
import { WebSocketFrames, longestFrame } from '../../relay/frame-socket.ts';
import type { RelayTiming } from '../../relay/timing.ts';
import { limits } from '../../protocol/limits.ts';
import type { CloseReason } from '../../rpc/transport.ts';
import { type ReasonedWebSocket, WebSocketTransport } from '../../rpc/websocket-transport.ts';
import { type Backoff, backoff, pause } from '../../support/backoff.ts';
import { tcpProgress } from '../../support/tcp-progress.ts';
import type { ExecServer } from '../exec-server.ts';
import type { Registration } from './answer.ts';
import { dialRendezvous } from './dial.ts';
import { Registrar } from './registration.ts';
import { RegistrationError } from './registration-error.ts';
import type { Secure } from './secure.ts';
import type { RendezvousSettings } from './settings.ts';

export interface DialLoopOptions {
  /** Asked when it is needed. */
  readonly secure: () => Promise<Secure>;
  /** A socket is open, and clients reach the executor. */
  readonly onOnline?: ((registration: Registration) => void) | undefined;
  readonly waits?: Backoff | undefined;
  readonly heldMs?: number | undefined;
  readonly registrationMs?: number | undefined;
  readonly connectMs?: number | undefined;
  readonly relayTiming?: RelayTiming | undefined;
}

/** Sessions of clients that come through a rendezvous: it knows who they are, and the executor does not. */
const principal = 'rendezvous';

const goingAway: CloseReason = { kind: 'goingAway', message: 'the executor is shutting down' };

const ordinaryWaits: Backoff = { firstMs: limits.registrationFirstMs, mostMs: limits.registrationMostMs };

/**
 * Keeps an executor at a rendezvous: it registers, opens the socket that the answer names, serves clients there until the socket ends, and
 * begins anew. All sockets lead to the same executor, so that sessions are resumed over the next one.
 */
export class DialLoop {
  readonly #server: ExecServer;
  readonly #options: DialLoopOptions;
  readonly #registrar: Registrar;
  readonly #secure: () => Promise<Secure>;
  readonly #streams: RelayStreams;
  #waits: Generator<number>;
  /** A client has spoken over the socket that is there now. */
  #used = false;

  constructor(server: ExecServer, settings: RendezvousSettings, options: DialLoopOptions) {
    this.#server = server;
    this.#options = options;
    let secure: Secure | undefined;
    this.#secure = async () => (secure ??= await options.secure());
    this.#registrar = new Registrar(settings, this.#secure, options.registrationMs);
    this.#waits = backoff(options.waits ?? ordinaryWaits);
    const { handshakeMs } = server.limits;
    this.#streams = new RelayStreams({
      messageBytes: server.limits.messageBytes,
      timing: options.relayTiming,
      onStream: (transport) => {
        this.#used = true;
        void server.serve(transport, { principal, handshakeMs });
      },
    });
  }

  /**
   * Resolves when the signal has aborted, or the executor drains and its socket has ended. Rejects with a RegistrationError that needs
   * somebody to act, as long as no session could come back.
   */
  async run(signal: AbortSignal): Promise<void> {
    try {
      // A socket whose first message waits could be closed without anybody noticing.
      await this.#server.ready;
      let waitMs = this.#nextWait();
      while (!this.#server.draining) {
        try {
          await pause(waitMs, signal);
          if (this.#server.draining) return;
          waitMs = await this.#once(signal);
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof RegistrationError)) throw error;
          // A client may still be on its way back to its session, and the credential or the service be mended in time.
          if (!error.transient && this.#server.load.sessions === 0) throw error;
          waitMs = Math.max(this.#nextWait(), error.retryAfterMs ?? 0);
          this.#server.log.warn(
            { problem: error.message, nextMs: Math.round(waitMs) },
            'not at the rendezvous',
          );
        }
      }
    } finally {
      this.#streams.close(goingAway);
    }
  }

  #nextWait(): number {
    return this.#waits.next().value as number;
  }

  /** One registration and its socket, to its end. Answers the milliseconds to wait for the next one. */
  async #once(signal: AbortSignal): Promise<number> {
    const registration = await this.#registrar.register(signal);
    this.#used = false;
    const { opened, ended } = await this.#serve(registration, signal);
    const reason = await ended;
    const held = performance.now() - opened >= (this.#options.heldMs ?? limits.rendezvousHeldMs);
    // A client whose stream goes on over the next socket waits for it.
    const served = this.#used || this.#streams.size > 0;
    // Two executors of one environment would otherwise take it from each other at full speed.
    if ((held || served) && reason.kind !== 'displaced') {
      this.#waits = backoff(this.#options.waits ?? ordinaryWaits);
      // The first wait is none: a socket whose one client is done is replaced at once. After a failure others come back, too.
      if (!isDone(reason)) this.#nextWait();
    }
    const waitMs = this.#nextWait();
    const fields = { closeKind: reason.kind, problem: shown(reason.message), nextMs: Math.round(waitMs) };
    if (isDone(reason) || signal.aborted || this.#server.draining)
      this.#server.log.info(fields, 'the socket of the rendezvous has ended');
    else this.#server.log.warn(fields, 'the socket of the rendezvous is lost');
    return waitMs;
  }

  /** One session, as long as the socket is there. It may wait for its client for any time. */
  async #plain(webSocket: ReasonedWebSocket, socket: Socket, signal: AbortSignal): Promise<CloseReason> {
    webSocket.once('message', () => (this.#used = true));
    const transport = new WebSocketTransport(webSocket, socket);
    transport.keepAlive(this.#server.limits.pingIntervalMs, tcpProgress);
    return untilAborted(transport, signal, this.#server.serve(transport, { principal }));
  }

  async #relayed(webSocket: ReasonedWebSocket, socket: Socket, signal: AbortSignal): Promise<CloseReason> {
    const frames = new WebSocketFrames(webSocket, socket);
    frames.keepAlive(this.#server.limits.pingIntervalMs, tcpProgress);
    // The streams' ends go out before the socket's, if the other side takes them in time.
    const end = {
      close: (reason: CloseReason): void => {
        this.#streams.close(reason);
        setTimeout(() => frames.close(reason), limits.closeTimeoutMs).unref();
      },
    };
    return untilAborted(end, signal, this.#streams.serve(frames));
  }

  async #serve(
    registration: Registration,
    signal: AbortSignal,
  ): Promise<{ readonly opened: number; readonly ended: Promise<CloseReason> }> {
    const { url, framing, id } = registration;
    const { messageBytes } = this.#server.limits;
    const secure = url.protocol === 'wss:' ? await this.#secure() : undefined;
    const maxPayload = framing === 'relay_v1' ? longestFrame(messageBytes) : messageBytes;
    const options = { signal, maxPayload, secure, timeoutMs: this.#options.connectMs };
    return dialRendezvous(url, options, (webSocket, socket) => {
      const ended =
        framing === 'relay_v1'
          ? this.#relayed(webSocket, socket, signal)
          : this.#plain(webSocket, socket, signal);
      this.#server.log.info({ environment: shown(id), framing }, 'at the rendezvous');
      this.#options.onOnline?.(registration);
      return { opened: performance.now(), ended };
    });
  }
}

/** A plain socket ends with its client, as it should. */
function isDone({ kind }: CloseReason): boolean {
  return kind === 'normal' || kind === 'orchestratorGone';
}

/** Closes the socket when the signal aborts. The signal is that of all sockets, so nothing of this one stays with it. */
async function untilAborted(
  socket: { close(reason: CloseReason): void },
  signal: AbortSignal,
  ended: Promise<CloseReason>,
): Promise<CloseReason> {
  const close = (): void => socket.close(goingAway);
  signal.addEventListener('abort', close);
  try {
    return await ended;
  } finally {
    signal.removeEventListener('abort', close);
  }
}

/** Texts of the other side, fit for a log. */
function shown(text: string): string {
  return text.slice(0, limits.registrationRefusalLength).replace(/[^\x20-\x7e]/g, '?');
}
