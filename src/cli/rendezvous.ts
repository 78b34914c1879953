import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { isLoopback } from '../access/loopback.ts';
import { ConfigError } from '../config.ts';
import { type Authority, anybody, createAuthority } from '../rendezvous/authority.ts';
import { readRendezvousLimits, rendezvousLimits } from '../rendezvous/limits.ts';
import { startRendezvous } from '../rendezvous/service.ts';
import { MemoryStore, type Store } from '../rendezvous/store.ts';
import { tokenDigest } from '../rendezvous/token-file.ts';
import { toError } from '../support/to-error.ts';
import { type LogLevel, type Logger, createLogger } from '../telemetry/logger.ts';
import { stopSignal } from './stop-signal.ts';

export interface RendezvousFlags {
  readonly listen?: string;
  readonly publicUrl?: string;
  readonly data?: string;
  readonly tokens?: string;
  readonly jwtSecretFile?: string;
  readonly jwksFile?: string;
  readonly jwtIssuer?: string;
  readonly jwtAudience?: string;
  readonly unauthenticated?: boolean;
  readonly limit?: readonly string[];
  readonly logLevel?: LogLevel;
}

/** Seconds that clocks may differ. */
const clockSkewSeconds = 30;

/** Runs a rendezvous until a signal ends it. Answers the exit status. */
export async function rendezvous(flags: RendezvousFlags): Promise<number> {
  const { host, port } = readListen(flags.listen ?? 'http://127.0.0.1:0');
  const limits = readRendezvousLimits(flags.limit ?? []);
  if (typeof limits === 'string') throw new ConfigError(`--limit: ${limits}`);
  const log = createLogger(flags.logLevel ?? 'warn');
  const publicUrl = flags.publicUrl === undefined ? undefined : readPublicUrl(flags.publicUrl);
  const authority = await authorityOf(flags, host);
  using store = await storeOf(flags.data);
  const stopped = stopSignal();
  const service = await startRendezvous({
    host,
    port,
    authority,
    store,
    log,
    publicUrl,
    limits: { ...rendezvousLimits, ...limits },
  });
  warnOf(authority, log);
  process.on('SIGHUP', () => void readAgain(authority, log));
  // The one line that standard output ever gets: whoever starts a rendezvous waits for it.
  process.stdout.write(`${service.url}\n`);
  await stopped;
  await service.close();
  return 0;
}

async function readAgain(authority: Authority, log: Logger): Promise<void> {
  try {
    await authority.reload();
    log.info({}, 'the tokens were read again');
    warnOf(authority, log);
  } catch (error) {
    log.error({ reason: toError(error).message }, 'the former tokens stay in force');
  }
}

function warnOf({ warning }: Authority, log: Logger): void {
  if (warning !== undefined) log.warn({}, warning);
}

/** Makes a token. Standard output gets it, and the digest that goes into the file of tokens. */
export function token(): number {
  const text = randomBytes(32).toString('base64url');
  process.stdout.write(`token:  ${text}\nsha256: ${tokenDigest(text)}\n`);
  return 0;
}

async function authorityOf(flags: RendezvousFlags, host: string): Promise<Authority> {
  const {
    tokens,
    jwtSecretFile,
    jwksFile,
    jwtIssuer: issuer,
    jwtAudience: audience,
    unauthenticated,
  } = flags;
  if (jwtSecretFile !== undefined && jwksFile !== undefined)
    throw new ConfigError('--jwt-secret-file and --jwks-file are two keys; give one of them');
  const asks = tokens !== undefined || jwtSecretFile !== undefined || jwksFile !== undefined;
  if (!asks && !unauthenticated) {
    throw new ConfigError(
      'whoever registers or connects must be known: give --tokens, --jwt-secret-file or --jwks-file; ' +
        'for a try on this machine --unauthenticated will do',
    );
  }
  if (!asks && !isLoopback(host))
    throw new ConfigError(
      '--unauthenticated is for loopback addresses: others reach this one; give --tokens',
    );
  if (asks && unauthenticated)
    throw new ConfigError('--unauthenticated and a way to authenticate exclude each other');
  if (!asks) return anybody;
  const key =
    jwtSecretFile === undefined ? jwksFile && { keySetFile: jwksFile } : { secretFile: jwtSecretFile };
  if (!key && (issuer ?? audience) !== undefined)
    throw new ConfigError('--jwt-issuer and --jwt-audience need --jwt-secret-file or --jwks-file');
  const webTokens = key ? { key, issuer, audience, maxClockSkewSeconds: clockSkewSeconds } : undefined;
  return createAuthority({ tokens, webTokens });
}

async function storeOf(path: string | undefined): Promise<Store> {
  if (path === undefined) return new MemoryStore();
  const { openStore } = await import('../rendezvous/sqlite-store.ts');
  return openStore(path);
}

/** No names: what is bound should not depend on a resolver. */
function readListen(text: string): { host: string; port: number } {
  const [, ipv6, ipv4, port] = /^(?:http|ws):\/\/(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = ipv6 ?? ipv4 ?? '';
  if (isIP(host) === (ipv6 === undefined ? 4 : 6) && Number(port) <= 65_535)
    return { host, port: Number(port) };
  throw new ConfigError(
    `--listen: "${text}" is not http://IP:PORT, such as http://127.0.0.1:8780 or http://[::1]:0`,
  );
}

/** As the base of WebSocket URLs. */
function readPublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    url !== undefined && url.search === '' && url.hash === '' && url.username + url.password === '';
  if (!isPlain || !/^(https?|wss?):$/.test(url.protocol))
    throw new ConfigError(
      '--public-url must be an http, https, ws or wss URL without query, fragment and user',
    );
  return `${url.protocol.replace('http', 'ws')}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}
