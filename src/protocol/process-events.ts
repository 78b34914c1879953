import { z } from 'zod';
import { Bytes, Count } from './primitives.ts';
import { Ending, Gap, OutputStream, StreamTotals } from './process.ts';

export const ProcessOutput = z.object({
  processId: z.string(),
  seq: Count,
  stream: OutputStream,
  chunk: Bytes,
});

const Usage = z
  .object({ userCpuMs: z.number().nonnegative(), systemCpuMs: z.number().nonnegative() })
  .meta({ description: 'Of the process and of the descendants that it has waited for.' });

export const ProcessExited = z.object({
  processId: z.string(),
  seq: Count,
  ...Ending,
  exitCode: z.int(),
  usage: Usage.nullish(),
});

export const ProcessClosed = z.object({
  processId: z.string(),
  seq: Count.meta({ description: 'The highest of the process: nothing follows.' }),
  bytes: StreamTotals.optional(),
  droppedBytes: Count.optional().meta({
    description: 'Bytes of it that a limit of the journal dropped, all streams together.',
  }),
  streamsEnded: z.boolean().optional().meta({
    description:
      'false: process/terminate closed it while a descendant still held a stream; later output is not seen.',
  }),
});

export const ProcessGap = Gap.extend({ processId: z.string() });
