import { peerLimits } from './rendezvous-limits.ts';

/**
 * Every bound of the wire and of what a peer may make the other side hold, with its unit and its reason. What an operator may
 * want to change is a default here and an option of the config.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  /** Bytes of one message. The largest that the clients in the field send and accept. */
  messageBytes: 64 * MiB,
  /** JSON values in one message, containers and scalars alike, keys not counted. Keeps one message from becoming gigabytes of objects. */
  jsonValues: 262_144,
  /** Containers inside one another in one message. Deeper texts have no use and exhaust stacks. */
  jsonDepth: 127,
  /** Requests of one connection that are being worked on. A request beyond is refused, so that a control request is never stuck behind it. */
  requestsInFlight: 8192,
  /** Characters of a process id, which every event repeats. */
  processIdLength: 8192,
  /** Unsent bytes of one connection up to which process output is pulled from the journals. */
  outboxHighBytes: 1 * MiB,
  /** Unsent bytes of one connection at which its requests are no longer read: only answers grow beyond outboxHighBytes. */
  outboxStallBytes: 16 * MiB,

  /** Bytes of one output chunk: what one read(2) of a full pipe gives. */
  chunkBytes: 64 * KiB,
  /** Journal bytes that a process keeps in memory; older ones go to disk. */
  journalMemoryBytes: 1 * MiB,
  /** The same where journalMemoryTotalBytes is used up. */
  journalMemoryTightBytes: 64 * KiB,
  /** Journal bytes in memory, all processes together, above which each process keeps only journalMemoryTightBytes. */
  journalMemoryTotalBytes: 64 * MiB,
  /** Journal bytes on their way to disk at which the process's output is no longer read until the disk has caught up. */
  journalInFlightBytes: 4 * MiB,
  /** Journal bytes on disk of one process. Beyond it the program waits for its readers; where there are none, the oldest are dropped. */
  journalDiskBytes: 256 * MiB,
  /** The same for all processes of an executor. */
  journalDiskTotalBytes: 1024 * MiB,
  /** Milliseconds without progress of a reader after which a program whose journal is full no longer waits for it. */
  journalHoldMs: 30_000,
  /** Decoded bytes in one answer of process/read whose caller named no limit. Keeps answers far below messageBytes. */
  readBytes: 8 * MiB,
  /** Chunks in one answer of process/read: a fraction of jsonValues, which its reader holds it to. */
  readChunks: 16_384,

  /** Bytes of accepted input that wait for a child to read; a write beyond waits for its turn. */
  stdinQueueBytes: 1 * MiB,
  /** Bytes of writes that wait for their turn; a write beyond is refused. */
  stdinWaitingBytes: 64 * MiB,
  /** Write ids remembered for each process, to tell a retry from a new write. */
  writeIds: 4096,

  /** Processes of one session that have not closed. A start beyond is refused. */
  liveProcesses: 4096,
  /** Closed processes of one session that stay readable; beyond it the oldest goes early. */
  closedProcesses: 4096,
  /** Processes of an executor that have not closed, all sessions together: a pid and three descriptors each. A start beyond is refused. */
  processes: 8192,
  /** Ids of starts that a session remembers, to tell a retry from a new start. */
  startIds: 4096,
  /** Cursors that a resuming client may name: one for each process that the session can have. */
  resumeCursors: 8192,
  /** Connections of other sessions attached to one process. One beyond is refused. */
  attachments: 64,
  /** Processes of other sessions that one connection is attached to. One beyond is refused. */
  foreignProcesses: 256,
  /** Sessions of an executor, detached ones included. A client beyond is refused. */
  sessions: 4096,
  /** Connections of a listener. An upgrade beyond is refused with 503. */
  connections: 1024,
  /** Descriptors that starts and files leave free, so that connections and probes are still answered when they use up the rest. */
  reservedDescriptors: 32,

  /** Bytes of a file that holds a token or a key. */
  secretFileBytes: 64 * KiB,
  /** Bytes of a file of environments: some hundred entries have tens of KiB. */
  environmentsFileBytes: 1 * MiB,
  /** Bytes at least of a key that signs tokens: as long as what it signs with, SHA-256. */
  sharedSecretBytes: 32,

  /** Bytes of one block of an open file. */
  fileBlockBytes: 1 * MiB,
  /** Bytes that fs/readFile gives at once: what base64 and one text of the runtime can hold with room to spare. */
  readFileBytes: 256 * MiB,
  /** Open files of one connection. */
  fileHandles: 128,
  /** Bytes of a handle's id. */
  handleIdBytes: 32,
  /** Levels below its root that fs/walk may be asked for. */
  walkDepth: 64,
  /** Directories that it may be asked to open. */
  walkDirectories: 10_000,
  /** Entries that it may be asked to examine. */
  walkEntries: 50_000,
  /** Levels below its root to which a tree is described, a directory held open for each, and entries of it. */
  treeDepth: 128,
  treeEntries: 500_000,
  /** Bytes of what an executor says of them: all of it is in the memory of who asked. */
  manifestBytes: 256 * MiB,
  /** Entries that one request names, of those in a tree. */
  treeNames: 20_000,
  /** Characters of the name of one, and of a rule of what a tree leaves out. */
  treeNameLength: 4096,
  /** Rules of what a tree leaves out, and characters of all of them together: each is matched against each entry. */
  ignoreRules: 4096,
  ignoreRuleChars: 128 * KiB,
  /** Streams of one connection that are open at a time. */
  streams: 128,
  /** Bytes of one stream/data: as base64 still a small object for the collector, so that bulk transfers make no long pauses. */
  streamChunkBytes: 64 * KiB,
  /** Bytes that a stream takes from its file, or gives to it, at once: each time is a turn of the thread pool, which costs more than the copying. */
  streamDiskBytes: 256 * KiB,
  /** Bytes that a stream may have on the way where its opener named no credit: enough for a wide road with a long delay. */
  streamDefaultCreditBytes: 4 * MiB,
  /** The same at most. */
  streamCreditBytes: 64 * MiB,
  /** Bytes of a stream to the executor that wait for the disk; a write beyond is refused. */
  streamWaitingBytes: 64 * MiB,
  /** Paths of one fs/watchMissing. */
  missingPaths: 1024,

  /** Watches of one connection, by fs/watch. */
  watches: 64,
  /** Characters of a watch id, which every notification repeats. */
  watchIdLength: 64,
  /** Names that one watch excludes. */
  watchExcludes: 256,
  /** Directories watched, all connections together: about 1 KiB of kernel memory each. The kernel may allow fewer. */
  watchedDirectories: 65_536,
  /** Changes of one watch that wait to be sent, and bytes of their paths. Beyond it they are dropped, and the client is told to list again. */
  watchPendingChanges: 10_000,
  watchPendingBytes: 4 * MiB,
  /** Changes in one fs/changed, and bytes of their paths; more go into the next. */
  watchReportChanges: 1_000,
  watchReportBytes: 256 * KiB,

  /** Running searches of one connection, each of which keeps a thread busy. One beyond is refused. */
  searches: 4,
  /** Characters of a search id, which every fs/matches repeats. */
  searchIdLength: 128,
  /** Glob patterns of one list, and characters of one pattern. */
  searchPatterns: 64,
  searchPatternLength: 4096,
  /** Paths of one fs/glob that named no limit, and at most. Their number stays below jsonValues. */
  globResults: 10_000,
  globResultsMost: 100_000,
  /** Lines of one fs/grep that named no limit, and at most. */
  grepMatches: 1000,
  grepMatchesMost: 50_000,
  /** Lines before or after each match. */
  grepContextLines: 20,
  /** Bytes of a file that fs/grep reads where it named no limit, and at most: a file is searched in memory. */
  grepFileBytes: 8 * MiB,
  grepFileBytesMost: 64 * MiB,
  /** Bytes in which a NUL makes a file binary. */
  binaryProbeBytes: 8 * KiB,
  /** Bytes of a line that are shown, and places in it: lines of minified files are megabytes long. */
  searchLineBytes: 4 * KiB,
  lineSubmatches: 64,
  /** JSON bytes of the results of one search: two streamed searches fit below outboxStallBytes. */
  searchResultBytes: 8 * MiB,
  /** JSON values of the results in one answer: below jsonValues, which is all that clients accept. */
  searchResultValues: 200_000,
  /** Milliseconds of a search that named no limit, and at most. */
  searchMs: 20_000,
  searchMsMost: 120_000,
  /** What a pattern may come to when its repetitions are written out, and how deep its groups may be nested. */
  patternNodes: 10_000,
  patternDepth: 50,
  /** MiB of heap of a search thread: a directory with millions of entries must not end the executor. */
  searchThreadMiB: 512,
  /** Milliseconds that an idle search thread waits for the next search of its connection. */
  searchThreadIdleMs: 10_000,

  /** Entries of one permission profile, and paths in each list of the oldest form. Profiles in the field have some dozens. */
  sandboxEntries: 1024,
  /** Paths in each list of roots of a sandbox context. */
  sandboxRoots: 64,
  /** Characters of a pattern or a subpath of an entry: PATH_MAX. */
  sandboxTextLength: 4096,
  /** Characters of a profile that a client hands to its own sandbox helper as an argument: what the kernel takes as one. */
  sandboxArgumentLength: 128 * KiB,
  /** Files that the denied patterns of one profile match. Each is one thing that the kernel is told. */
  sandboxGlobMatches: 2048,
  /** Directories opened, and entries looked at, to find them. They are looked for at each start. */
  sandboxGlobDirectories: 20_000,
  sandboxGlobEntries: 500_000,
  /** Levels below the fixed part of a denied pattern, a directory held open for each. */
  sandboxGlobDepth: 64,
  /** Milliseconds that the search for them may take. */
  sandboxGlobMs: 10_000,
  /** Links in one path, as for the kernel. */
  sandboxLinks: 40,
  /** Milliseconds that bubblewrap may take to say whether it works. */
  sandboxProbeMs: 10_000,
  /** Milliseconds that the answer to initialize waits for that; later than this it comes without `sandbox`. */
  sandboxFactsMs: 3000,
  /** Plans made for one start while the files that it is about change. */
  sandboxAttempts: 5,
  /** Bytes of a confined process's newest output in which signs of a denial are looked for. */
  denialTailBytes: 16 * KiB,
  /** Bytes of a `.git` file that are read for the directory that it names: PATH_MAX and some words. */
  gitFileBytes: 8 * KiB,

  /** Workers for sandboxed files of one connection: profiles that it uses at a time. Each is a process of about 50 MiB. */
  fileWorkers: 4,
  /** The same for all connections of an executor. */
  fileWorkersTotal: 32,
  /** Milliseconds that a worker waits for the next request of its profile: what it needs on the disk is there as long as it is. */
  fileWorkerIdleMs: 30_000,
  /** Milliseconds that a worker has to give its first answer, on a loaded machine. */
  fileWorkerStartMs: 30_000,
  /** Bytes of one message of a worker: an answer with readFileBytes as base64, with room to spare. */
  fileWorkerMessageBytes: 384 * MiB,
  /** Bytes of what a worker says on standard error that are kept for its obituary. */
  fileWorkerSaidBytes: 4 * KiB,
  /** Requests of http/request that one connection may have under way; each holds a socket. One beyond is refused. */
  httpRequests: 256,
  /** Characters of a requestId, which every http/request/bodyDelta repeats. */
  httpRequestIdLength: 1024,
  /** Redirects that are followed. */
  httpRedirects: 10,
  /** Bytes of the header of an answer, and of its trailers. */
  httpHeaderBytes: 256 * KiB,
  /** Bytes of a body that is answered in one piece: as base64 below messageBytes. What is larger is to be streamed. */
  httpBufferedBytes: 45 * MiB,
  /** The same for all requests of a connection that are under way. */
  httpBufferedTotalBytes: 256 * MiB,
  /** Bytes of a streamed body that wait for the client; with more of them the origin is no longer read. */
  httpBodyAheadBytes: 128 * KiB,
  /** Bytes of one http/request/bodyDelta. Clients in the field give up on a body of which 256 wait, so they are no smaller than need be. */
  httpDeltaBytes: 64 * KiB,
  /** Addresses of one name that are tried. */
  httpAddresses: 16,

  /** Milliseconds that changes are collected before they are sent: a save is several events, and takes less. */
  watchWindowMs: 50,
  /** Milliseconds that a resync waits for new directories that are being read, which would otherwise cause the next one. */
  watchResyncHoldMs: 1_000,
  /** Milliseconds that a closed process and its output stay readable. */
  closedRetentionMs: 80_000,
  /** Milliseconds that a session outlives its connection. */
  detachedSessionMs: 80_000,
  /** Milliseconds between TERM and KILL, where the start named no grace. */
  stopGraceMs: 5_000,
  /** Milliseconds that an answer to process/terminate waits for what SIGKILL has hit. */
  killConfirmMs: 1_000,
  /** Milliseconds until a connection has to be open: `initialize` answered and `initialized` sent. Not on stdio. */
  handshakeMs: 30_000,
  /** Milliseconds between two pings of the WebSocket listener: below the idle cut of every proxy seen (60 s). */
  pingIntervalMs: 30_000,
  /** Pings after which a peer that has shown no sign of life is given up. */
  silentPings: 2,
  /** The same where it may be busy with what it was sent before them. */
  silentBusyPings: 10,
  /** Milliseconds that the event loop may be late before the executor is not ready: its clients wait as long. */
  stallMs: 5_000,
  /** Milliseconds that a delay of the event loop is remembered, and up to twice as long. */
  lagWindowMs: 5_000,
  /** Milliseconds between two lines of the log about clients that were refused: nobody without a token fills the disk. */
  refusalLogMs: 1_000,
  /** Milliseconds at most that a shutdown gives processes between TERM and KILL; less where their starts named less. */
  drainMs: 25_000,
  /** Milliseconds between two signs of life that a client asks its executor for; silence over two of them ends the connection. */
  clientPingIntervalMs: 15_000,
  /** Milliseconds that a client tries to get back to its session: below detachedSessionMs, so that it is still there at the end. */
  reconnectMs: 60_000,
  /** The same after an executor, or a proxy before it, has said that it goes away. */
  reconnectGoingAwayMs: 5_000,
  /** Milliseconds that a client waits between two attempts: at first, and at most. Half of it is chance. */
  reconnectFirstMs: 100,
  reconnectMostMs: 5_000,
  /** Milliseconds that a command that is an environment's executor has between TERM and KILL. */
  commandGraceMs: 2_000,
  /** Milliseconds that an environment that is closed has to end its processes. */
  environmentEndMs: 5_000,
  /** Milliseconds between two looks at whether something has ended that does not tell. */
  endPollMs: 50,
  /** Milliseconds that a Docker engine has to remove a container, or to end a program in one. */
  containerRemovalMs: 20_000,
  /** Bytes that a shell's profile may print before an executor over ssh speaks. */
  sshNoiseBytes: 64 * KiB,
  /** Characters of what a Docker engine or a command says that an error shows. */
  saidCharacters: 400,
  /** Characters of one line of such a command's standard error that go to the log. */
  logLineCharacters: 8 * KiB,
  /** Milliseconds that a peer has to answer a Close frame. */
  closeTimeoutMs: 2_000,

  ...peerLimits,
} as const;
