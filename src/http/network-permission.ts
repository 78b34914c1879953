import { invalidRequest } from '../protocol/errors.ts';
import type { SandboxContext } from '../protocol/sandbox.ts';

/**
 * A request that carries a permission profile runs only where that leaves the network open. A unix socket is a file, which a profile
 * that restricts files does not leave open.
 */
export function refuseRestrictedNetwork(
  sandbox: SandboxContext | null | undefined,
  usesFiles: boolean,
): void {
  if (sandbox == null) return;
  const { permissions } = sandbox;
  if (permissions.type === 'disabled') return;
  if (permissions.network !== 'enabled') {
    throw invalidRequest(
      'The permission profile of this request does not open the network; it must be of type "disabled", or have network "enabled".',
    );
  }
  if (!usesFiles || permissions.type === 'external' || permissions.fileSystem.type === 'unrestricted') return;
  throw invalidRequest(
    'The permission profile of this request restricts files, and a unix socket is one; send the request without it, or to a host.',
  );
}
