import { invalidRequest } from '../protocol/errors.ts';

/**
 * Nothing ever runs with less confinement than was asked for, and this executor can enforce none: whatever is not explicitly unconfined
 * is refused before anything happens.
 */
export function refuseSandbox(sandbox: Readonly<Record<string, unknown>> | null | undefined): void {
  if (sandbox == null) return;
  const permissions = sandbox['permissions'] as { type?: unknown } | null | undefined;
  if (permissions?.type === 'disabled') return;
  throw invalidRequest(
    'This executor cannot enforce a sandbox. Send sandbox null, or permissions of type "disabled", to go unconfined.',
  );
}
