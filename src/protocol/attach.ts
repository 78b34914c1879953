import { z } from 'zod';
import { Count, ProcessId } from './primitives.ts';
import { ProcessState, ResizePolicy, TerminalSize } from './process.ts';

export const AttachRole = z.enum(['owner', 'writer', 'viewer']).meta({
  description:
    'owner: everything; one at a time. writer: reads, writes, closes the input, resizes. viewer: reads, and resizes where the policy ' +
    'is smallest.',
});
export type AttachRole = z.infer<typeof AttachRole>;

export const AttachParams = z.object({
  processId: ProcessId,
  sessionId: z
    .string()
    .max(256)
    .optional()
    .meta({ description: 'The session of the process, where it is another one.' }),
  key: z
    .string()
    .max(128)
    .optional()
    .meta({
      description:
        'Needed for a process of another session: base64url of HMAC-SHA-256, keyed with the text of its sessionSecret, over the texts ' +
        '"attach", the role and the process id, joined by line feeds. Whoever has the secret can make it for somebody else.',
    }),
  role: AttachRole.default('owner'),
  afterSeq: Count.default(0).meta({
    description: 'The last event that the client has; the ones behind it are sent.',
  }),
  localId: ProcessId.optional().meta({
    description:
      'The process id by which this connection shall know a process of another session; its own id if absent. It must be free here.',
  }),
});

const AttachmentId = z.string().meta({ description: 'Of one connection at one process.' });

export const AttachResult = z.object({
  processId: z.string().meta({ description: 'By which this connection knows it.' }),
  attachmentId: AttachmentId,
  role: AttachRole,
  state: ProcessState,
  tty: z.boolean(),
  nextSeq: Count,
  resizePolicy: ResizePolicy,
});

export const ProcessAttachments = z.object({
  processId: z.string(),
  cause: z.enum(['attached', 'detached', 'handedOver', 'resized']).meta({
    description: 'handedOver: another attachment is the owner now.',
  }),
  attachmentId: AttachmentId.meta({ description: 'Of this connection.' }),
  attachments: z.array(z.object({ attachmentId: z.string(), role: AttachRole })),
  size: TerminalSize.nullable().meta({
    description: 'The size in force, if any was asked for since the start.',
  }),
});
