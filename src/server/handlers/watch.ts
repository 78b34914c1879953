import { unseenBelow } from '../../file-system/shown-unseen.ts';
import { limits } from '../../protocol/limits.ts';
import type { FileHandlers } from '../handlers.ts';
import { guarded } from './guarded.ts';

const operations: Pick<FileHandlers, 'fs/watch' | 'fs/unwatch'> = {
  'fs/watch': async ({ watchId, path, recursive, exclude }, { files, notify, unsentBytes, request }) => {
    let isUnseen = (_shown: string): boolean => false;
    const watch = await files.watches.open(watchId, {
      root: path,
      recursive,
      exclude: exclude ?? [],
      send: ({ changes, ...report }) =>
        notify('fs/changed', {
          watchId,
          ...report,
          changes: changes.filter((change) => !isUnseen(change.path)),
        }),
      canSend: () => unsentBytes() < limits.outboxHighBytes,
    });
    isUnseen = await unseenBelow(path, files.unseen);
    request.afterReply(() => watch.start());
    return { cursor: 0 };
  },

  'fs/unwatch': ({ watchId }, { files }) => {
    files.watches.close(watchId);
    return {};
  },
};

export const watchHandlers = guarded(operations);
