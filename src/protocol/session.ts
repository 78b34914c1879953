import { z } from 'zod';
import { EnvironmentInfo } from './environment.ts';
import { limits } from './limits.ts';
import { Count, ProcessId } from './primitives.ts';

const Resume = z
  .object({
    secret: z.string().max(128).optional().meta({
      description:
        'The sessionSecret. With it the session is taken over from a connection that seems alive; without it that is refused with -32010.',
    }),
    cursors: z
      .array(z.object({ processId: ProcessId, afterSeq: Count }))
      .max(limits.resumeCursors)
      .default([])
      .meta({
        description:
          'The last event that the client has of each process. What comes behind it is sent, in order, after `initialized`. Of a process that ' +
          'is not named only new events are sent.',
      }),
  })
  .meta({ description: 'How to resume; only with resumeSessionId. An extension.' });
export type Resume = z.output<typeof Resume>;

export const InitializeParams = z.object({
  clientName: z.string().max(1024).meta({ description: 'Free text, for logs.' }),
  resumeSessionId: z
    .string()
    .max(256)
    .nullish()
    .meta({ description: 'The session to attach to again, instead of a new one.' }),
  notifications: z
    .array(z.string().max(64))
    .max(64)
    .optional()
    .meta({
      description:
        'Notifications that this client takes and others do not know: `environment/draining`. Names that the executor does not know are ' +
        'ignored. An extension.',
    }),
  resume: Resume.nullish(),
});

export const InitializeResult = z.object({
  sessionId: z.string().meta({ description: 'The new session, or the resumed one.' }),
  environmentInfo: EnvironmentInfo.optional(),
  sessionSecret: z.string().optional().meta({
    description:
      'Proves to be the client of this session: for taking it over and for keys of process/attach. To be kept secret.',
  }),
  unknownProcesses: z.array(z.string()).optional().meta({
    description: 'Those of resume.cursors that the session does not have, or no longer.',
  }),
});
