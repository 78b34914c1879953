import { getSystemErrorMap } from 'node:util';
import { errnoOf } from '../../support/os-error.ts';

/** A registration, or the way to the socket that it named, came to nothing. The text holds no token and no query of a URL. */
export class RegistrationError extends Error {
  override readonly name = 'RegistrationError';
  /** Trying again later can help without anybody doing anything. */
  readonly transient: boolean;
  /** Milliseconds that the service asks to be left alone for. */
  readonly retryAfterMs: number | undefined;
  /** The token was not taken. */
  readonly unauthorized: boolean;

  constructor(
    message: string,
    options: ErrorOptions & {
      readonly transient?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly unauthorized?: boolean;
    } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.transient = options.transient ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.unauthorized = options.unauthorized ?? false;
  }
}

/** Codes of a TLS peer that cannot be trusted, or that speaks no TLS: waiting changes nothing. */
const untrusted =
  /^(?:CERT_|ERR_TLS_CERT|ERR_SSL_|EPROTO$|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/;

/** There was no exchange with `place`. */
export function connectError(place: string, thrown: unknown): RegistrationError {
  // Of several addresses, all failed: the first is as good as the others.
  const [cause] = thrown instanceof AggregateError ? (thrown.errors as unknown[]) : [thrown];
  const code =
    (cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined) ?? 'no reason given';
  if (untrusted.test(code)) {
    const advice = 'name the certificate of its authority with SSL_CERT_FILE, or mend the URL';
    return new RegistrationError(`${place} cannot be trusted (${code}); ${advice}`, { cause: thrown });
  }
  const errno = errnoOf(cause);
  const words = errno === undefined ? undefined : getSystemErrorMap().get(-errno)?.[1];
  const why = words === undefined ? code : `${words}, ${code}`;
  return new RegistrationError(`${place} cannot be reached (${why})`, { cause: thrown, transient: true });
}

/** Milliseconds of a Retry-After header: seconds, or a date. */
export function retryAfter(header: string | undefined, now: number, mostMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const wanted = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(wanted) ? Math.min(Math.max(wanted, 0), mostMs) : undefined;
}
