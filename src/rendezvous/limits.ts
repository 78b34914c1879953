const KiB = 1024;
const MiB = 1024 * KiB;

/** Every bound of a rendezvous. An operator may change any of them: `--limit NAME=N`. */
export const rendezvousLimits = {
  /** Bytes of one WebSocket message: as long as a message of the protocol, with the frame around it. */
  frameBytes: 65 * MiB,
  /** Bytes of one stream that wait for a socket: several windows of a reliable stream, and a burst of a plain one. A message is never cut, so that one alone may be longer. */
  streamQueueBytes: 8 * MiB,
  /** Bytes that wait for one socket, all its streams together. */
  legQueueBytes: 64 * MiB,
  /** Bytes that wait in all streams of a tenant. */
  tenantQueueBytes: 512 * MiB,
  /** Bytes of one stream that wait for an executor before the orchestrator is not read any more. */
  streamPauseBytes: 1 * MiB,
  /** Bytes that the system's buffer of a socket may hold before streams wait their turn. */
  legUnsentBytes: 256 * KiB,
  /** Bytes of one stream in its turn. */
  turnBytes: 64 * KiB,

  /** Environments of one tenant. A registration beyond is refused. */
  tenantEnvironments: 20_000,
  /** Environments that one principal has registered. */
  principalEnvironments: 10_000,
  /** Environments of all tenants. */
  environments: 100_000,
  /** Sockets of all legs. An upgrade beyond is refused with 503. */
  sockets: 16_384,
  /** Sockets of orchestrators at one environment. */
  environmentOrchestrators: 256,
  /** Sockets of one orchestrator, all environments together. */
  principalOrchestrators: 2048,
  /** Streams of one executor. */
  streams: 256,
  /** Streams of one orchestrator's socket. */
  orchestratorStreams: 64,
  /** Ended streams of an executor that are remembered, so that late frames open nothing. */
  endedStreams: 1024,
  /** Characters of a stream id: a UUID has 36. */
  streamIdLength: 128,
  /** Requests and upgrades that wait for an executor to come back. */
  waiting: 1024,
  /** The same of one principal. */
  principalWaiting: 64,

  /** Bytes of an HTTP request's body: registrations have some hundred. */
  bodyBytes: 16 * KiB,
  /** Bytes of the header of an HTTP request. A ticket has some hundred, a JWT some thousand. */
  headerBytes: 16 * KiB,
  /** Milliseconds that a request may take to come. */
  requestMs: 10_000,
  /** Connections of the HTTP server that are no legs yet: requests, probes, pages. */
  httpConnections: 1024,
  /** Registrations and tickets of one principal at once: all executors of a fleet come back after a restart. */
  principalBurst: 20_000,
  /** And each second after that. */
  principalRate: 500,
  /** The same of one principal for one environment. */
  environmentBurst: 120,
  environmentRate: 5,
  /** Refused credentials of one address at once, and each second after that; beyond it the answer is 429, and nothing is compared. */
  refusalBurst: 200,
  refusalRate: 10,
  /** Principals, environments and addresses whose rates are remembered. */
  rates: 50_000,

  /** Characters of an environment id. */
  environmentIdLength: 256,
  /** Characters of an executor's name or version. */
  nameLength: 256,
  /** Characters of an idempotency id. */
  idempotencyIdLength: 256,
  /** Entries in a file of tokens. */
  tokens: 10_000,
  /** Bytes of it. */
  tokenFileBytes: 8 * MiB,
  /** Scopes that one token has. */
  scopes: 256,

  /** Seconds that a ticket is good for. */
  ticketSeconds: 30,
  /** The longest that may be asked for. */
  ticketMostSeconds: 24 * 60 * 60,
  /** Used tickets that are remembered until they have expired. With more of them the use of another one is refused. */
  usedTickets: 200_000,

  /** Milliseconds that the orchestrators of a lost executor are kept. */
  executorGraceMs: 15_000,
  /** Milliseconds that the streams of a lost orchestrator are kept. */
  orchestratorGraceMs: 15_000,
  /** Milliseconds that a connect or an upgrade waits for an executor that has just gone: one of 2026-05 is back after a second. */
  returnMs: 3_000,
  /** Milliseconds that an orchestrator's socket may be without a stream. */
  idleOrchestratorMs: 30_000,
  /** Milliseconds between two pings: below the idle cut of every proxy seen. */
  pingMs: 20_000,
  /** Milliseconds that a shutdown waits for queues to be sent. */
  drainMs: 5_000,
  /** Milliseconds that an environment without an executor is listed. */
  forgetMs: 24 * 60 * 60 * 1000,

  /** Pages that are logged in. Beyond it the oldest is logged out. */
  logins: 1024,
  /** Milliseconds that a login lasts. */
  loginMs: 12 * 60 * 60 * 1000,
  /** Pages that are told of changes. */
  watchers: 256,
  /** Milliseconds between two looks for changes. */
  watchMs: 1_000,
} as const;

export type RendezvousLimits = Readonly<Record<keyof typeof rendezvousLimits, number>>;

/** The largest delay that timers take, and more of anything than a machine has. */
const most = 2_147_483_647;

/** Reads `NAME=N` texts. Answers a text that says what is wrong. */
export function readRendezvousLimits(texts: readonly string[]): Partial<RendezvousLimits> | string {
  const given: Partial<Record<keyof RendezvousLimits, number>> = {};
  for (const text of texts) {
    const [, name = '', digits = ''] = /^([A-Za-z]+)=(\d{1,10})$/.exec(text) ?? [];
    if (!Object.hasOwn(rendezvousLimits, name)) {
      return `"${text}" is not NAME=N with one of ${Object.keys(rendezvousLimits).join(', ')}`;
    }
    const value = Number(digits);
    if (value < 1 || value > most) return `${name} must be between 1 and ${most}`;
    given[name as keyof RendezvousLimits] = value;
  }
  return given;
}
