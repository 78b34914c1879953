import { z } from 'zod';
import { EnvironmentInfo } from './environment.ts';

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
});

export const InitializeResult = z.object({
  sessionId: z.string().meta({ description: 'The new session, or the resumed one.' }),
  environmentInfo: EnvironmentInfo.optional(),
});
