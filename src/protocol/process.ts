import { z } from 'zod';
import { limits } from './limits.ts';
import { Bytes, Count, Milliseconds, Path, ProcessId, Variables } from './primitives.ts';
import { Sandbox } from './sandbox.ts';

export const OutputStream = z.enum(['stdout', 'stderr', 'pty']);
export type OutputStream = z.infer<typeof OutputStream>;

export const endReasons = [
  'exited',
  'signaled',
  'timeout',
  'terminated',
  'disconnected',
  'sessionEnded',
  'shutdown',
  'unknown',
] as const;
export const EndReason = z.enum(endReasons).meta({
  description:
    'Why the process ended. exited: by itself; signaled: by a signal that nobody asked this executor for; timeout: its timeoutMs; ' +
    'terminated: process/terminate; disconnected: its onDisconnect; sessionEnded: its session expired; shutdown: the executor stopped; unknown: its status could not be read.',
});
export type EndReason = z.infer<typeof EndReason>;

const TerminalDimension = z.int().min(1).max(65_535);
export const TerminalSize = z.object({ rows: TerminalDimension, cols: TerminalDimension });
export type TerminalSize = z.infer<typeof TerminalSize>;

const Pattern = z.string().max(4096);
export const EnvPolicy = z
  .object({
    inherit: z.enum(['all', 'core', 'none']),
    ignoreDefaultExcludes: z.boolean(),
    exclude: z.array(Pattern),
    set: Variables,
    includeOnly: z.array(Pattern),
  })
  .meta({
    description:
      "Which of the executor's own variables the process gets. Patterns match whole names, case-insensitively, with * and ?. " +
      'Steps: inherit; drop *KEY*, *SECRET*, *TOKEN* unless ignoreDefaultExcludes; drop exclude; add set; keep includeOnly if it is not empty.',
  });
export type EnvPolicy = z.infer<typeof EnvPolicy>;

export const OnDisconnect = z.union([z.literal('keep'), z.object({ terminateAfterMs: Milliseconds })]).meta({
  description:
    "What the loss of the session's connection means. keep: it runs on until the session expires. terminateAfterMs: it gets TERM after that " +
    'time, unless the session was resumed, and KILL after stopGraceMs.',
});
export type OnDisconnect = z.infer<typeof OnDisconnect>;

export const ResizePolicy = z.enum(['owner', 'latest', 'smallest']).meta({
  description:
    'Whose process/resize counts where several connections are attached. owner: that of the owner; latest: the last one; ' +
    'smallest: the least rows and the least columns that any of them has asked for.',
});
export type ResizePolicy = z.infer<typeof ResizePolicy>;

/** A network of its own that a client may ask for. This executor has none, so that it is refused. */
const Confinement = z.looseObject({}).nullish();

export const ProcessStartParams = z.object({
  processId: ProcessId,
  argv: z
    .array(z.string())
    .min(1, 'must not be empty')
    .meta({ description: 'Program and arguments; never a shell string.' }),
  cwd: Path.meta({ description: 'Working directory: an absolute path or a file: URI.' }),
  env: Variables.meta({
    description: 'Variables; they win over envPolicy. Without envPolicy they are all that the process gets.',
  }),
  envPolicy: EnvPolicy.nullish(),
  tty: z
    .boolean()
    .meta({ description: 'true: a PTY, one stream "pty". false: pipes, streams "stdout" and "stderr".' }),
  pipeStdin: z
    .boolean()
    .default(false)
    .meta({ description: 'Without a PTY: keep standard input open for process/write.' }),
  arg0: z
    .string()
    .nullish()
    .meta({ description: 'argv[0] that the program sees; the program itself stays argv[0].' }),
  size: TerminalSize.nullish().meta({ description: 'Of the PTY; 24 rows and 80 columns if absent.' }),
  timeoutMs: Milliseconds.min(1)
    .nullish()
    .meta({ description: 'After this time the process group gets TERM, and KILL after stopGraceMs.' }),
  stopGraceMs: Milliseconds.default(limits.stopGraceMs).meta({
    description: 'Time between TERM and KILL when timeoutMs or the time of onDisconnect is over.',
  }),
  startId: z.string().min(1, 'must not be empty').max(256).optional().meta({
    description:
      'Idempotency key: a second start of the session with the same one is answered as the first was, and starts nothing.',
  }),
  onDisconnect: OnDisconnect.default('keep'),
  resizePolicy: ResizePolicy.default('latest'),
  sandbox: Sandbox,
  managedNetwork: Confinement.meta({ description: 'Refused: this executor cannot enforce it.' }),
  networkProxy: Confinement.meta({ description: 'Refused: this executor cannot enforce it.' }),
});
export type ProcessStartParams = z.output<typeof ProcessStartParams>;

export const ProcessStartResult = z.object({
  processId: z.string(),
  sandboxType: z
    .string()
    .optional()
    .meta({ description: '"none": the process runs unconfined. "linuxSeccomp": it is confined.' }),
  sandbox: z
    .object({
      enforcer: z.enum(['bubblewrap', 'landlock', 'seccomp']),
      givenUp: z.array(z.string()).meta({
        description: 'What was asked for and is not enforced, because the operator of the executor said so.',
      }),
    })
    .optional()
    .meta({ description: 'What confines the process; absent where nothing does.' }),
  duplicate: z.boolean().optional().meta({
    description: 'true: a start with this startId has succeeded before. Its process may have ended since.',
  }),
});

export const Ending = {
  exitCode: z
    .int()
    .nullable()
    .meta({ description: '0–255; 128+n when signal n ended it; null while it runs.' }),
  signal: z.string().nullish().meta({ description: 'The signal that ended it, such as SIGKILL.' }),
  endReason: EndReason.nullish(),
  sandboxDenied: z.boolean().optional(),
};

export const StreamTotals = z
  .object({ stdout: Count.optional(), stderr: Count.optional(), pty: Count.optional() })
  .meta({ description: 'Bytes that the process wrote on each stream, dropped ones included.' });

export const Gap = z.object({ fromSeq: Count, toSeq: Count, bytes: Count }).meta({
  description:
    'Output that a limit of the journal dropped: events fromSeq to toSeq, both included. `bytes` is exact for a reader from the beginning, and not too few for others.',
});
export type Gap = z.infer<typeof Gap>;

export const ProcessReadParams = z.object({
  processId: ProcessId,
  afterSeq: Count.nullish().meta({ description: 'Only events after this one; 0 if absent.' }),
  maxBytes: Count.nullish().meta({
    description: 'Decoded bytes after which no further chunk is added; the first always is.',
  }),
  waitMs: Count.nullish().meta({ description: 'How long to wait for something new; 0 if absent.' }),
});

export const ProcessReadResult = z.object({
  chunks: z.array(z.object({ seq: Count, stream: OutputStream, chunk: Bytes })),
  nextSeq: Count.meta({
    description: 'The first event not covered by this answer; the next call uses afterSeq = nextSeq - 1.',
  }),
  exited: z.boolean(),
  closed: z.boolean().meta({ description: 'It has exited and its streams have ended: nothing more comes.' }),
  failure: z.string().nullish(),
  ...Ending,
  gap: Gap.optional(),
  bytes: StreamTotals.optional().meta({ description: 'Once closed: the totals of each stream.' }),
  droppedBytes: Count.optional(),
});

const WriteId = z.string().min(1, 'must not be empty').max(256).optional();

export const ProcessWriteParams = z.object({
  processId: ProcessId,
  chunk: Bytes,
  writeId: WriteId.meta({
    description:
      'Idempotency key: a second write of the process with the same one is answered and not written.',
  }),
});

export const WriteStatus = z.enum(['accepted', 'unknownProcess', 'stdinClosed', 'starting']);

export const ProcessWriteResult = z.object({
  status: WriteStatus.meta({
    description:
      'accepted: queued in order. stdinClosed: started without pipeStdin, or closed by process/closeStdin.',
  }),
  discarded: z.boolean().optional().meta({
    description:
      'true: accepted, but nobody can read it any more, because the process ended or closed its input.',
  }),
  duplicate: z
    .boolean()
    .optional()
    .meta({ description: 'true: a write with this writeId was accepted before.' }),
});

export const ProcessTarget = z.object({ processId: ProcessId });

export const SignalScope = z.enum(['group', 'process']);

export const ProcessSignalParams = z.object({
  processId: ProcessId,
  signal: z
    .string()
    .max(32)
    .meta({ description: '"interrupt", or a signal name with or without SIG, in any case.' }),
  scope: SignalScope.default('group').meta({ description: 'The whole process group, or the program alone.' }),
});

export const ProcessSignalResult = z.object({
  delivered: z.boolean().optional().meta({ description: 'false: there was no such running process.' }),
});

export const ProcessResizeParams = z.object({ processId: ProcessId, size: TerminalSize });

export const ProcessCloseStdinParams = z.object({
  processId: ProcessId,
  writeId: WriteId.meta({ description: 'Idempotency key, from the same memory as those of process/write.' }),
});

export const ProcessCloseStdinResult = z.object({
  status: WriteStatus,
  duplicate: z.boolean().optional().meta({ description: 'true: it was closed before with this writeId.' }),
});

export const ProcessTerminateParams = z.object({
  processId: ProcessId,
  graceMs: Milliseconds.nullish().meta({
    description:
      'TERM first, KILL after this time. Absent or 0: KILL at once. The answer comes when the process is gone.',
  }),
});

const Survivor = z.object({ pid: z.int(), name: z.string() });
export type Survivor = z.infer<typeof Survivor>;

export const ProcessTerminateResult = z.object({
  running: z
    .boolean()
    .meta({ description: 'Whether the process was starting or running when the request came.' }),
  survivors: z.array(Survivor).optional().meta({
    description:
      'Processes of its terminal session that SIGKILL has not ended (yet). One that left it by setsid is not seen.',
  }),
});

export const ProcessListParams = z.object({
  includeClosed: z
    .boolean()
    .default(false)
    .meta({ description: 'Also processes that have closed and are still readable.' }),
});

export const ProcessState = z.enum(['starting', 'running', 'exited', 'closed']);
export type ProcessState = z.infer<typeof ProcessState>;

export const ProcessListResult = z.object({
  processes: z.array(
    z.object({
      processId: z.string(),
      state: ProcessState,
      tty: z.boolean(),
      pid: z.int().nullable(),
      startedAt: z.string().meta({ description: 'RFC 3339' }),
      nextSeq: Count,
      ...Ending,
    }),
  ),
});
