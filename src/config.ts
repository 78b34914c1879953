import { isIP } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { type AccessSettings, accessModes, accessSettings } from './access/settings.ts';
import { EgressRuleError, checkEgressRules } from './http/egress.ts';
import { type AdjustableLimit, parseLimit } from './protocol/limit-settings.ts';
import { limits } from './protocol/limits.ts';
import {
  type RendezvousFlags,
  type RendezvousSettings,
  remoteTransports,
  rendezvousSettings,
} from './server/rendezvous/settings.ts';
import { logLevels } from './telemetry/logger.ts';

/** Where the executor is reached. */
export type Listen =
  { readonly kind: 'stdio' } | { readonly kind: 'websocket'; readonly host: string; readonly port: number };

/** Wrong flags, variables or files: the user mends them, so there is no stack to show. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const Bytes = z.union([z.string().regex(/^\d+$/).transform(Number), z.number()]).pipe(z.int().nonnegative());

/** Up to the longest that a timer takes. */
const Seconds = z
  .union([
    z
      .string()
      .regex(/^\d+(\.\d+)?$/)
      .transform(Number),
    z.number(),
  ])
  .pipe(z.number().nonnegative().max(2_147_483));
const WholeSeconds = z
  .union([
    z
      .string()
      .regex(/^\d{1,9}$/, 'must be a whole number of seconds')
      .transform(Number),
    z.number(),
  ])
  .pipe(z.int().nonnegative());
const Switch = z.union([z.boolean(), z.enum(['0', '1']).transform((text) => text === '1')]);
const Limits = z
  .union([z.array(z.string()), z.string().transform((text) => text.split(','))])
  .transform(readLimits);
/** Repeated on the command line, separated by commas in a variable. */
const Weaker = z
  .union([z.array(z.string()), z.string().transform((text) => text.split(',').map((name) => name.trim()))])
  .pipe(z.array(z.enum(['protected-metadata'], 'only "protected-metadata" can be given up')));

/** Rules of the egress policy with commas between. An empty text is an empty list, which is not the same as none. */
const Rules = z.string().transform((text, context) => {
  const rules = text
    .split(',')
    .map((rule) => rule.trim())
    .filter((rule) => rule !== '');
  try {
    checkEgressRules(rules);
    return rules;
  } catch (error) {
    if (!(error instanceof EgressRuleError)) throw error;
    context.issues.push({ code: 'custom', input: undefined, message: error.message });
    return z.NEVER;
  }
});

const ServeConfig = z.strictObject({
  listen: z.string().default('ws://127.0.0.1:0').transform(parseListen),
  logLevel: z.enum(logLevels).default('warn'),
  journalDir: z.string().min(1).optional(),
  journalDiskBytes: Bytes.default(limits.journalDiskBytes),
  journalDiskTotalBytes: Bytes.default(limits.journalDiskTotalBytes),
  detachedSessionSeconds: Seconds.default(limits.detachedSessionMs / 1000),
  /** A path, or "off". */
  ripgrep: z.string().optional(),
  limit: Limits.default({}),
  unauthenticated: Switch.default(false),
  wsAuth: z.enum(accessModes).optional(),
  wsTokenFile: z.string().min(1).optional(),
  wsTokenSha256: z.string().optional(),
  wsSharedSecretFile: z.string().min(1).optional(),
  wsIssuer: z.string().optional(),
  wsAudience: z.string().optional(),
  wsMaxClockSkewSeconds: WholeSeconds.optional(),
  bubblewrap: z
    .string()
    .refine((text) => text === 'off' || isAbsolute(text), 'must be an absolute path, or "off"')
    .optional(),
  stateDir: z
    .string()
    .min(1)
    .transform((folder) => resolve(folder)),
  allowWeaker: Weaker.default([]),
  httpAllow: Rules.optional(),
  httpDeny: Rules.optional(),
  httpAllowMetadata: Switch.optional(),
  remote: z.string().optional(),
  environmentId: z.string().optional(),
  executorId: z.string().optional(),
  name: z.string().optional(),
  remoteTransport: z.enum(remoteTransports, 'must be relay or direct').optional(),
  remoteTokenFile: z.string().min(1).optional(),
  remoteAllowHttp: Switch.optional(),
  chatgptAccountId: z.string().optional(),
  cloud: Switch.optional(),
  cloudBaseUrl: z.string().optional(),
  cloudEnvironmentId: z.string().optional(),
  cloudName: z.string().optional(),
});

type Checked = z.output<typeof ServeConfig>;
type AccessFlag = Extract<keyof Checked, `ws${string}`>;

export interface ServeConfig extends Readonly<Omit<Checked, AccessFlag | keyof RendezvousFlags>> {
  readonly access: AccessSettings | undefined;
  /** With it the executor does not listen. */
  readonly rendezvous: RendezvousSettings | undefined;
}

/** Flags of `serve` that a variable can set, too. A flag wins. */
const variables = {
  listen: 'EXEC_SERVER_LISTEN',
  logLevel: 'EXEC_SERVER_LOG_LEVEL',
  journalDir: 'EXEC_SERVER_JOURNAL_DIR',
  journalDiskBytes: 'EXEC_SERVER_JOURNAL_DISK_BYTES',
  journalDiskTotalBytes: 'EXEC_SERVER_JOURNAL_DISK_TOTAL_BYTES',
  detachedSessionSeconds: 'EXEC_SERVER_DETACHED_SESSION_SECONDS',
  ripgrep: 'EXEC_SERVER_RIPGREP',
  limit: 'EXEC_SERVER_LIMITS',
  unauthenticated: 'EXEC_SERVER_UNAUTHENTICATED',
  wsAuth: 'EXEC_SERVER_WS_AUTH',
  wsTokenFile: 'EXEC_SERVER_WS_TOKEN_FILE',
  wsTokenSha256: 'EXEC_SERVER_WS_TOKEN_SHA256',
  wsSharedSecretFile: 'EXEC_SERVER_WS_SHARED_SECRET_FILE',
  wsIssuer: 'EXEC_SERVER_WS_ISSUER',
  wsAudience: 'EXEC_SERVER_WS_AUDIENCE',
  wsMaxClockSkewSeconds: 'EXEC_SERVER_WS_MAX_CLOCK_SKEW_SECONDS',
  bubblewrap: 'EXEC_SERVER_BUBBLEWRAP',
  stateDir: 'EXEC_SERVER_STATE_DIR',
  allowWeaker: 'EXEC_SERVER_ALLOW_WEAKER',
  httpAllow: 'EXEC_SERVER_HTTP_ALLOW',
  httpDeny: 'EXEC_SERVER_HTTP_DENY',
  httpAllowMetadata: 'EXEC_SERVER_HTTP_ALLOW_METADATA',
} as const satisfies Partial<Record<keyof Checked, string>>;

/** With it the executor registers, like with `--remote`. */
const remoteVariable = 'EXEC_SERVER_REMOTE';

/** Variables that mean something only to an executor that registers, and can be set for good. */
const rendezvousVariables = {
  remoteTransport: 'EXEC_SERVER_REMOTE_TRANSPORT',
  remoteTokenFile: 'EXEC_SERVER_REMOTE_TOKEN_FILE',
  remoteAllowHttp: 'EXEC_SERVER_REMOTE_ALLOW_HTTP',
  chatgptAccountId: 'EXEC_SERVER_CHATGPT_ACCOUNT_ID',
} as const satisfies Partial<Record<keyof RendezvousFlags, string>>;
const remoteVariables = {
  environmentId: 'EXEC_SERVER_ENVIRONMENT_ID',
  name: 'EXEC_SERVER_NAME',
} as const satisfies Partial<Record<keyof RendezvousFlags, string>>;
const cloudVariables = {
  cloudBaseUrl: 'CODEX_CLOUD_ENVIRONMENTS_BASE_URL',
} as const satisfies Partial<Record<keyof RendezvousFlags, string>>;

/** What becomes `rendezvous`. */
const rendezvousKeys: ReadonlySet<string> = new Set([
  'remote',
  'executorId',
  'cloud',
  'cloudEnvironmentId',
  'cloudName',
  ...Object.keys({ ...rendezvousVariables, ...remoteVariables, ...cloudVariables }),
]);

/** Checks flags and variables together. Throws a ConfigError that names what is wrong. */
export function serveConfig(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string>>,
): ServeConfig {
  const given: Record<string, unknown> = { ...flags };
  const take = (names: Readonly<Record<string, string>>): void => {
    for (const [key, name] of Object.entries(names)) given[key] ??= env[name];
  };
  // A flag of one way to register is not joined by a variable for the other one.
  const isCloud = given['cloud'] === true;
  take(variables);
  if (!isCloud) given['remote'] ??= env[remoteVariable];
  if (isCloud || given['remote'] !== undefined) take(rendezvousVariables);
  if (isCloud) take(cloudVariables);
  else if (given['remote'] !== undefined) take(remoteVariables);
  given['stateDir'] ??= defaultStateDir(env);
  const parsed = ServeConfig.safeParse(given);
  if (parsed.success) return together(parsed.data, given['listen'] !== undefined, env);
  const [issue] = parsed.error.issues;
  const key = String(issue?.path[0] ?? '');
  const flag = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new ConfigError(`--${flag}: ${issue?.message}`);
}

/** What flags mean for each other. They are left out of the result where settings stand for them. */
function together(checked: Checked, listens: boolean, env: Readonly<Record<string, string>>): ServeConfig {
  const rendezvous = rendezvousSettings(checked, listens, env);
  if (typeof rendezvous === 'string') throw new ConfigError(rendezvous);
  const isWebSocket = checked.listen.kind === 'websocket' && rendezvous === undefined;
  const access = accessSettings(checked, isWebSocket);
  if (typeof access === 'string') throw new ConfigError(access);
  const others = Object.entries(checked).filter(([key]) => !key.startsWith('ws') && !rendezvousKeys.has(key));
  return Object.freeze({
    ...(Object.fromEntries(others) as Omit<ServeConfig, 'access'>),
    access,
    rendezvous,
  });
}

/** The token that the commands show to an executor: the flag, or one of two variables. */
export function clientToken(
  tokenFile: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string | { readonly file: string } | undefined {
  // An empty variable is none.
  const file = tokenFile ?? (env['EXEC_SERVER_TOKEN_FILE'] || undefined);
  return file === undefined ? env['EXEC_SERVER_TOKEN'] || undefined : { file };
}

/** A directory of this user's that does not outlive the machine's uptime by much, and that no other user can make first. */
function defaultStateDir(env: Readonly<Record<string, string>>): string {
  const runtime = env['XDG_RUNTIME_DIR'] ?? '';
  // A relative one is void, says the specification of the variable.
  return isAbsolute(runtime)
    ? join(runtime, 'exec-server')
    : join(tmpdir(), `exec-server-${process.getuid?.() ?? 0}`);
}

/** Where commands keep what they remember from one run to the next. */
export function stateHome(env: Readonly<Record<string, string | undefined>>): string {
  const state = env['XDG_STATE_HOME'] ?? '';
  // A relative one is void, says the specification of the variable.
  const home = isAbsolute(state) ? state : join(env['HOME'] || homedir(), '.local', 'state');
  return join(home, 'exec-server');
}

/** The variables of this process. The only place that reads them. */
export function ownVariables(): Readonly<Record<string, string>> {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) own[name] = value;
  return own;
}

function readLimits(
  texts: readonly string[],
  context: z.RefinementCtx,
): Partial<Record<AdjustableLimit, number>> {
  const given: Partial<Record<AdjustableLimit, number>> = {};
  for (const text of texts) {
    const limit = parseLimit(text);
    if (typeof limit === 'string') context.issues.push({ code: 'custom', input: undefined, message: limit });
    else given[limit[0]] = limit[1];
  }
  return given;
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
