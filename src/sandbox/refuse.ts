import { invalidRequest } from '../protocol/errors.ts';
import type { SandboxContext } from '../protocol/sandbox.ts';

/**
 * Nothing ever runs with less confinement than was asked for, and this executor can enforce none: whatever is not explicitly unconfined
 * is refused before anything happens.
 */
export function refuseSandbox(sandbox: SandboxContext | null | undefined): void {
  if (sandbox == null || sandbox.permissions.type === 'disabled') return;
  throw invalidRequest(
    'This executor cannot enforce a sandbox. Send sandbox null, or permissions of type "disabled", to go unconfined.',
  );
}
