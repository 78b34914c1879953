import { invalidRequest } from '../protocol/errors.ts';

/**
 * A request that carries a permission profile runs only where that leaves the network open. What cannot be read is refused; a unix socket
 * is a file, and no profile but "disabled" leaves all files open.
 */
export function refuseRestrictedNetwork(
  sandbox: Readonly<Record<string, unknown>> | null | undefined,
  usesFiles: boolean,
): void {
  if (sandbox == null) return;
  const permissions = sandbox['permissions'];
  const { type, network } = (typeof permissions === 'object' && permissions !== null ? permissions : {}) as {
    readonly type?: unknown;
    readonly network?: unknown;
  };
  if (type === 'disabled') return;
  const open = (type === 'managed' || type === 'external') && network === 'enabled';
  if (open && !usesFiles) return;
  throw invalidRequest(
    open
      ? 'The permission profile of this request restricts files, and a unix socket is one; send the request without it, or to a host.'
      : 'The permission profile of this request does not open the network; it must be of type "disabled", or have network "enabled".',
  );
}
