import { createHash, randomBytes } from 'node:crypto';

const prefix = 'codex-exec-server-';

/** Changes when what is hashed changes. */
const version = 'codex-exec-server-v1';

/**
 * By what a registry knows that a registration is a repeated one: the same for the same account, environment and name, also after a
 * restart. `environmentId`: undefined where the service chooses.
 */
export function idempotencyId(accountId: string, environmentId: string | undefined, name: string): string {
  const parts = [accountId, environmentId ?? 'auto', name, version];
  return prefix + createHash('sha256').update(parts.join('\0')).digest('hex');
}

/** The same where it stands for one run of an executor. */
export function ownIdempotencyId(): string {
  return prefix + randomBytes(32).toString('hex');
}
