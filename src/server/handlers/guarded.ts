import { fileError } from '../../file-system/file-error.ts';
import { refuseSandbox } from '../../sandbox/refuse.ts';
import type { Handlers, SessionContext } from '../handlers.ts';
import { refuseScarceDescriptors } from '../scarce-descriptors.ts';

/** What keeps descriptors beyond its answer. The others give theirs back at once. */
const holders: ReadonlySet<string> = new Set<keyof Handlers>([
  'fs/open',
  'fs/download',
  'fs/archive',
  'fs/upload',
  'fs/extract',
  'fs/watch',
  'fs/watchMissing',
]);

type Operation = (params: object, context: SessionContext) => unknown;

/**
 * Handlers of the file system: each refuses a sandbox that this executor cannot enforce before it does anything, and answers failed system
 * calls with the codes that clients know.
 */
export function guarded<M extends keyof Handlers>(operations: Pick<Handlers, M>): Pick<Handlers, M> {
  const guard =
    (method: string, operation: Operation): Operation =>
    async (params, context) => {
      if (holders.has(method)) refuseScarceDescriptors(context.limits);
      if ('sandbox' in params)
        refuseSandbox(params.sandbox as Readonly<Record<string, unknown>> | null | undefined);
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
  return Object.fromEntries(entries) as Pick<Handlers, M>;
}
