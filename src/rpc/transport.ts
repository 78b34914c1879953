/**
 * A transport is a pipe of messages: texts in order, both ways, until it closes. It knows no method and no session.
 *
 * Messages that arrive before `attach` are kept. `onClose` is called exactly once, also after `close`.
 */
export interface Transport {
  /** For logs and limits, never for behaviour. */
  readonly kind: 'memory' | 'stdio' | 'websocket' | 'rendezvous';
  /** Bytes sent and not yet taken by the operating system or the other side. */
  readonly unsentBytes: number;
  /** Bytes that have come so far, whole messages or not: a sign of life where it changes. */
  readonly receivedBytes: number;
  /** Called once. */
  attach(events: TransportEvents): void;
  /**
   * Queues a message: a text, or one in UTF-8 already, whose bytes are the transport's from then on. After the close it is dropped: the
   * other side is gone.
   */
  send(message: string | Buffer): void;
  /** Stops reading from the other side until `resume`. */
  pause(): void;
  resume(): void;
  /** A `lost` one is not waited for: the other side is taken to be gone. */
  close(reason: CloseReason): void;
  /** Asks the other side for a sign of life, where the transport itself can. */
  readonly ping?: (() => void) | undefined;
}

export interface TransportEvents {
  onMessage(text: string): void;
  /** The other side sent bytes that are no text. */
  onGarbage(problem: string): void;
  /** `unsentBytes` has gone down. */
  onDrain(): void;
  onClose(reason: CloseReason): void;
}

/** Why a connection ended. The names map to WebSocket close codes; `lost` has none, because nobody was left to send one. */
export interface CloseReason {
  readonly kind: keyof typeof closeCodes | 'lost';
  readonly message: string;
}

/** RFC 6455 section 7.4.1 */
export const closeCodes = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  notText: 1007,
  policyViolation: 1008,
  tooBig: 1009,
  internalError: 1011,
  /** Of the range for private use (section 7.4.2): there is no registered one for it. */
  displaced: 4001,
  /** Which side of a rendezvous is gone, for the other one. */
  executorGone: 4010,
  orchestratorGone: 4011,
} as const;

/** 1005 stands for a Close frame without a code: the other side was done. */
export function closeKind(code: number): CloseReason['kind'] {
  if (code === 1005) return 'normal';
  for (const [kind, known] of Object.entries(closeCodes)) {
    if (known === code) return kind as keyof typeof closeCodes;
  }
  return 'lost';
}
