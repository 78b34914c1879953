import { fileError } from '../../file-system/file-error.ts';
import type { SandboxContext } from '../../protocol/sandbox.ts';
import { refuseSandbox } from '../../sandbox/refuse.ts';
import type { Handlers, SessionContext } from '../handlers.ts';

type Operation = (params: object, context: SessionContext) => unknown;

/**
 * Handlers of the file system: each refuses a sandbox that this executor cannot enforce before it does anything, and answers failed system
 * calls with the codes that clients know.
 */
export function guarded<M extends keyof Handlers>(operations: Pick<Handlers, M>): Pick<Handlers, M> {
  const guard =
    (operation: Operation): Operation =>
    async (params, context) => {
      if ('sandbox' in params) refuseSandbox(params.sandbox as SandboxContext | null | undefined);
      try {
        return await operation(params, context);
      } catch (error) {
        throw fileError(error);
      }
    };
  const entries = Object.entries(operations).map(([method, operation]) => [
    method,
    guard(operation as Operation),
  ]);
  return Object.fromEntries(entries) as Pick<Handlers, M>;
}
