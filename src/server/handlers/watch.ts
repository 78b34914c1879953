import { limits } from '../../protocol/limits.ts';
import type { Handlers } from '../handlers.ts';
import { guarded } from './guarded.ts';

const operations: Pick<Handlers, 'fs/watch' | 'fs/unwatch'> = {
  'fs/watch': async ({ watchId, path, recursive, exclude }, { files, notify, unsentBytes, request }) => {
    const watch = await files.watches.open(watchId, {
      root: path,
      recursive,
      exclude: exclude ?? [],
      send: (report) => notify('fs/changed', { watchId, ...report }),
      canSend: () => unsentBytes() < limits.outboxHighBytes,
    });
    request.afterReply(() => watch.start());
    return { cursor: 0 };
  },

  'fs/unwatch': ({ watchId }, { files }) => {
    files.watches.close(watchId);
    return {};
  },
};

export const watchHandlers = guarded(operations);
