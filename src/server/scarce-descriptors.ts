import { constants } from 'node:os';
import { RpcError } from '../protocol/errors.ts';
import type { LimitSettings } from '../protocol/limit-settings.ts';
import { descriptorsScarce } from '../support/descriptors.ts';
import { osErrorText } from '../support/os-error.ts';

const { EMFILE } = constants.errno;

/** Refuses what would hold descriptors, while the last ones are left, as the system would when they are gone. */
export function refuseScarceDescriptors({ reservedDescriptors }: LimitSettings): void {
  if (!descriptorsScarce(reservedDescriptors)) return;
  const why = `The executor keeps its last ${reservedDescriptors} file descriptors (--limit reservedDescriptors=N) for connections`;
  throw new RpcError('internalError', `${why}; raise its \`ulimit -n\`: ${osErrorText(EMFILE)}`, {
    data: { kind: 'resourceLimit', errno: EMFILE, limit: 'reservedDescriptors' },
  });
}
