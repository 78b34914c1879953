import { z } from 'zod';
import { Common, flag } from './file-system.ts';
import { limits } from './limits.ts';
import { Count, FilePath } from './primitives.ts';

const WatchId = z
  .string()
  .min(1)
  .max(limits.watchIdLength)
  .meta({ description: 'Chosen by the client, unique on its connection.' });

export const WatchParams = z.object({
  watchId: WatchId,
  path: FilePath.meta({
    description:
      'A directory, or one file. A link is resolved when the watch begins; links below are not followed.',
  }),
  recursive: flag(true, 'Everything below a directory; false: its entries only.'),
  exclude: z.array(z.string().min(1)).max(limits.watchExcludes).nullish().meta({
    description: 'Names of directories, such as ".git", of whose content nothing is told, at any depth.',
  }),
  ...Common,
});

export const WatchResult = z.object({
  cursor: Count.meta({ description: 'The cursor before the first fs/changed.' }),
});

export const UnwatchParams = z.object({ watchId: WatchId });

const Change = z.object({
  path: z.string().meta({
    description:
      'In the form of the request, below the path that it named; a file: URI where it is not UTF-8.',
  }),
  kind: z.enum(['created', 'modified', 'removed']).meta({
    description:
      'created: is there, and may have replaced what was there; a directory comes with a change for each thing in it. modified: content or metadata. removed: is gone with everything below it, whether the client knew it or not.',
  }),
  isDirectory: z.literal(true).optional(),
});

export const Changed = z.object({
  watchId: z.string(),
  cursor: Count.meta({ description: 'One more than that of the notification before, from 1 on.' }),
  changes: z.array(Change).meta({ description: 'To be applied in this order.' }),
  resync: z.literal(true).optional().meta({
    description:
      'Changes are missing: list the tree again. What fs/changed brings while the list is made is applied after it.',
  }),
  ended: z.literal(true).optional().meta({ description: 'The watch is over; its id is free.' }),
  reason: z.string().optional().meta({
    description:
      'Of resync. overflow: the kernel dropped events. backlog: too many changes waited. removed, moved, unmounted: the path does not lead to what was watched any more. limit: too many directories. worker: the sandboxed worker that watched has ended.',
  }),
  message: z.string().optional().meta({ description: 'What can be done about it, for a human.' }),
});

/** A change as it is told, but for its path. */
export type ChangeKind = z.input<typeof Change>['kind'];
export type WireChange = z.input<typeof Change>;
/** What a watch tells: `fs/changed` without the id. */
export type WatchReport = Omit<z.input<typeof Changed>, 'watchId'>;
export type ResyncReason = 'overflow' | 'backlog' | EndReason;
export type EndReason = 'removed' | 'moved' | 'unmounted' | 'limit';
