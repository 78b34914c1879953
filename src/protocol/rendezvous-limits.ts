const KiB = 1024;
const MiB = 1024 * KiB;

/** The limits of an executor and its clients at a rendezvous, and of their relay streams by way of it: part of `limits`. */
export const peerLimits = {
  /** Characters of a relay stream's id, which every frame repeats: those of peers in the field are UUIDs. */
  relayStreamIdLength: 128,
  /** Characters of the reason in a reset frame that are kept. */
  relayReasonLength: 256,
  /** Bytes of one segment of a message on a reliable relay stream, so that streams take turns and frames fit through every rendezvous. */
  relaySegmentBytes: 64 * KiB,
  /** Bytes of a frame beside its payload. */
  relayFrameBytes: 1 * KiB,
  /** Segments of one message: the largest that an operator can allow. */
  relaySegments: 4096,
  /** Data frames of one relay stream, and their bytes, that have not been acknowledged: what either side keeps of it, and a rendezvous at most. */
  relayWindowFrames: 1024,
  relayWindowBytes: 4 * MiB,
  /** Unsent bytes of a relay socket at which its streams wait. */
  relaySocketBytes: 512 * KiB,
  /** Relay streams of one executor. One beyond is reset. */
  relayStreams: 1024,
  /** Ids of ended relay streams that an executor remembers: a late frame does not open them again. */
  relayEndedStreams: 1024,
  /** Bytes of a rendezvous' answer to a client that asks for a ticket. */
  ticketAnswerBytes: 64 * KiB,
  /** Bytes of a plain relay stream, which knows no window, that wait for a reader that is paused; with more the stream is reset. */
  relayPlainInboxBytes: 16 * MiB,
  /** Milliseconds that a rendezvous has to answer a client that asks for a ticket. */
  ticketMs: 10_000,
  /** Milliseconds that an executor's registration with a rendezvous may take, repeats included, and the way to the socket after it. */
  registrationMs: 10_000,
  rendezvousConnectMs: 10_000,
  /** Bytes of a registry's answer: some ids and a URL. */
  registrationAnswerBytes: 64 * KiB,
  /** Characters of its error that are shown. */
  registrationRefusalLength: 200,
  /** Characters of the URL in it: what servers take as a request line. */
  rendezvousUrlLength: 8 * KiB,
  /** Redirects of a registration that are followed. */
  registrationRedirects: 10,
  /** Milliseconds at most that a registry can make an executor wait by Retry-After. */
  registrationRetryAfterMs: 300_000,
  /** Milliseconds between two registrations: at first, and at most. Half of it is chance. */
  registrationFirstMs: 1_000,
  registrationMostMs: 30_000,
  /** Milliseconds after which a socket of a rendezvous has held: the waits begin anew when it is lost. */
  rendezvousHeldMs: 5_000,
  /** Milliseconds that an acknowledgement waits for a frame that it can go along with. */
  relayAckDelayMs: 20,
  /** Milliseconds until a relay frame is sent again: before the way is known, at least, and at most. */
  relayResendFirstMs: 1_000,
  relayResendLeastMs: 200,
  relayResendMostMs: 5_000,
  /** Milliseconds between two signs of life of a reliable relay stream. */
  relayHeartbeatMs: 15_000,
  /** Heartbeats without one of the other side after which the stream is given up. */
  relaySilentHeartbeats: 3,
  /** Milliseconds that an orchestrator tries to carry on a relay stream after its socket was lost; then the session takes a new stream. */
  relayResumeMs: 20_000,
  /** Milliseconds that an executor keeps its relay streams without a socket: longer than orchestrators try. */
  relayGraceMs: 30_000,
} as const;
