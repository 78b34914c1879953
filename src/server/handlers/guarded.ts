import { fileError } from '../../file-system/file-error.ts';
import type { FileContext, FileHandlers } from '../handlers.ts';
import { refuseScarceDescriptors } from '../scarce-descriptors.ts';

/** What keeps descriptors beyond its answer. The others give theirs back at once. */
const holders: ReadonlySet<string> = new Set<keyof FileHandlers>([
  'fs/open',
  'fs/download',
  'fs/archive',
  'fs/manifest',
  'fs/upload',
  'fs/extract',
  'fs/watch',
  'fs/watchMissing',
]);

type Operation = (params: object, context: FileContext) => unknown;

/**
 * Handlers of the file system: each answers failed system calls with the codes that clients know. They touch what this process may touch, so
 * a request whose sandbox was not dealt with before goes no further than here.
 */
export function guarded<M extends keyof FileHandlers>(
  operations: Pick<FileHandlers, M>,
): Pick<FileHandlers, M> {
  const guard =
    (method: string, operation: Operation): Operation =>
    async (params, context) => {
      if (holders.has(method)) refuseScarceDescriptors(context.limits);
      if ('sandbox' in params && params.sandbox != null) throw new Error('A sandbox was left to a handler.');
      try {
        return await operation(params, context);
      } catch (error) {
        throw fileError(error);
      }
    };
  const entries = Object.entries(operations).map(([method, operation]) => [
    method,
    guard(method, operation as Operation),
  ]);
  return Object.fromEntries(entries) as Pick<FileHandlers, M>;
}
