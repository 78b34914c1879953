import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { z } from 'zod';
import { openRegular } from '../disk/open-regular.ts';
import { rendezvousLimits } from './limits.ts';
import { type Principal, type Scope, roles } from './principal.ts';

/** A name that goes into logs, pages and keys. */
export const Name = z
  .string()
  .min(1)
  .max(rendezvousLimits.nameLength)
  // oxlint-disable-next-line no-control-regex
  .regex(/^[^\u0000-\u001f\u007f]+$/, 'must have no control characters');

const Entry = z.strictObject({
  sha256: z.string().regex(/^[0-9a-f]{64}$/i, 'must be the SHA-256 of the token in 64 hex digits'),
  tenant: Name.default('default'),
  // The subjects of signed tokens look like that.
  subject: Name.regex(/^(?!jwt:)/, 'must not begin with jwt:').optional(),
  roles: z.array(z.enum(roles)).min(1).max(roles.length),
  environments: z
    .array(z.string().min(1).max(rendezvousLimits.environmentIdLength))
    .max(rendezvousLimits.scopes)
    .default(['*']),
  expires: z.union([z.iso.datetime({ offset: true }), z.date()]).optional(),
});

const TokenFile = z.strictObject({ tokens: z.array(Entry).max(rendezvousLimits.tokens) });

export interface TokenTable {
  readonly entries: readonly TokenEntry[];
  /** Users other than its owner may write to the file. */
  readonly isWritableByOthers: boolean;
}

export interface TokenEntry {
  /** Of the token, in lower-case hex. */
  readonly digest: string;
  readonly principal: Principal;
}

/** Reads a file of tokens, JSON or TOML. It has digests only, so that who reads it has no token. Throws what is wrong with it. */
export async function readTokens(path: string): Promise<TokenTable> {
  const { text, mode } = await readText(path);
  const parsed = TokenFile.safeParse(await parseText(path, text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`${path}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const entries = parsed.data.tokens.map((entry) => {
    const digest = entry.sha256.toLowerCase();
    return { digest, principal: principalOf(entry, digest) };
  });
  if (new Set(entries.map(({ digest }) => digest)).size < entries.length) {
    throw new Error(`${path}: two entries have the same token.`);
  }
  return { entries, isWritableByOthers: (mode & 0o022) !== 0 };
}

export function tokenDigest(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function principalOf(entry: z.output<typeof Entry>, digest: string): Principal {
  const scopes: Scope[] = entry.roles.flatMap((role) =>
    entry.environments.map((environment) => ({ role, environment })),
  );
  const { tenant, expires } = entry;
  return {
    tenant,
    subject: entry.subject ?? `token-${digest.slice(0, 12)}`,
    scopes,
    expiresAt: expires === undefined ? undefined : new Date(expires).getTime(),
  };
}

async function parseText(path: string, text: string): Promise<unknown> {
  try {
    if (text.trimStart().startsWith('{')) return JSON.parse(text) as unknown;
    const { parse } = await import('smol-toml');
    return parse(text);
  } catch {
    // The parsers quote the text, and what somebody wrote there by mistake may be a token.
    throw new Error(`${path} is neither JSON nor TOML; docs/rendezvous.md shows what it may have.`);
  }
}

async function readText(path: string): Promise<{ text: string; mode: number }> {
  const { file, stat } = await openRegular(Buffer.from(path), constants.O_RDONLY, true).catch(
    (cause: unknown) => {
      throw new Error(`The tokens in ${path} cannot be read: ${(cause as Error).message}`, { cause });
    },
  );
  await using _ = file;
  if (stat.size > rendezvousLimits.tokenFileBytes) {
    throw new Error(`The tokens in ${path} have more than ${rendezvousLimits.tokenFileBytes} bytes.`);
  }
  return { text: await file.readFile('utf8'), mode: Number(stat.mode) };
}
