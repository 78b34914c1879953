import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { limits } from './protocol/limits.ts';
import { logLevels } from './telemetry/logger.ts';

/** Where the executor is reached. */
export type Listen =
  { readonly kind: 'stdio' } | { readonly kind: 'websocket'; readonly host: string; readonly port: number };

/** Wrong flags, variables or files: the user mends them, so there is no stack to show. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const Bytes = z.union([z.string().regex(/^\d+$/).transform(Number), z.number()]).pipe(z.int().nonnegative());

/** Repeated on the command line, separated by commas in a variable. */
const Weaker = z
  .union([z.array(z.string()), z.string().transform((text) => text.split(',').map((name) => name.trim()))])
  .pipe(z.array(z.enum(['protected-metadata'], 'only "protected-metadata" can be given up')));

const ServeConfig = z.strictObject({
  listen: z.string().default('ws://127.0.0.1:0').transform(parseListen),
  logLevel: z.enum(logLevels).default('warn'),
  journalDir: z.string().min(1).optional(),
  journalDiskBytes: Bytes.default(limits.journalDiskBytes),
  journalDiskTotalBytes: Bytes.default(limits.journalDiskTotalBytes),
  /** A path, or "off". */
  ripgrep: z.string().optional(),
  bubblewrap: z
    .string()
    .refine((text) => text === 'off' || isAbsolute(text), 'must be an absolute path, or "off"')
    .optional(),
  stateDir: z
    .string()
    .min(1)
    .transform((folder) => resolve(folder)),
  allowWeaker: Weaker.default([]),
});

export type ServeConfig = Readonly<z.output<typeof ServeConfig>>;

/** Flags of `serve` that a variable can set, too. A flag wins. */
const variables = {
  listen: 'EXEC_SERVER_LISTEN',
  logLevel: 'EXEC_SERVER_LOG_LEVEL',
  journalDir: 'EXEC_SERVER_JOURNAL_DIR',
  journalDiskBytes: 'EXEC_SERVER_JOURNAL_DISK_BYTES',
  journalDiskTotalBytes: 'EXEC_SERVER_JOURNAL_DISK_TOTAL_BYTES',
  ripgrep: 'EXEC_SERVER_RIPGREP',
  bubblewrap: 'EXEC_SERVER_BUBBLEWRAP',
  stateDir: 'EXEC_SERVER_STATE_DIR',
  allowWeaker: 'EXEC_SERVER_ALLOW_WEAKER',
} as const;

/** Checks flags and variables together. Throws a ConfigError that names what is wrong. */
export function serveConfig(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string>>,
): ServeConfig {
  const given: Record<string, unknown> = { ...flags };
  for (const [key, name] of Object.entries(variables)) given[key] ??= env[name];
  given['stateDir'] ??= defaultStateDir(env);
  const parsed = ServeConfig.safeParse(given);
  if (parsed.success) return Object.freeze(parsed.data);
  const [issue] = parsed.error.issues;
  const key = String(issue?.path[0] ?? '');
  const flag = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new ConfigError(`--${flag}: ${issue?.message}`);
}

/** A directory of this user's that does not outlive the machine's uptime by much, and that no other user can make first. */
function defaultStateDir(env: Readonly<Record<string, string>>): string {
  const runtime = env['XDG_RUNTIME_DIR'] ?? '';
  // A relative one is void, says the specification of the variable.
  return isAbsolute(runtime)
    ? join(runtime, 'exec-server')
    : join(tmpdir(), `exec-server-${process.getuid?.() ?? 0}`);
}

/** The variables of this process. The only place that reads them. */
export function ownVariables(): Readonly<Record<string, string>> {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) own[name] = value;
  return own;
}

/** Reads `ws://IP:PORT`, `stdio` or `stdio://`. No names: what is bound should not depend on a resolver. */
function parseListen(text: string, context: z.RefinementCtx): Listen {
  if (text === 'stdio' || text === 'stdio://') return { kind: 'stdio' };
  const match = /^ws:\/\/(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text);
  const [, ipv6, ipv4, port] = match ?? [];
  const host = ipv6 ?? ipv4 ?? '';
  if (isIP(host) === (ipv6 === undefined ? 4 : 6) && Number(port) <= 65_535) {
    return { kind: 'websocket', host, port: Number(port) };
  }
  const message = text.startsWith('ws://')
    ? `"${text}" has no literal address and port; write ws://IP:PORT, such as ws://127.0.0.1:8765 or ws://[::1]:0`
    : `"${text}" is not supported; write ws://IP:PORT or stdio`;
  context.issues.push({ code: 'custom', input: undefined, message });
  return z.NEVER;
}
