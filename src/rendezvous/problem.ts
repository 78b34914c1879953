/** What a request is refused with, in the form of the wire: `{"error":{"code","message"}}`. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly code: string;
  /** Seconds after which the same may be asked again. */
  readonly retryAfter: number | undefined;

  constructor(status: number, code: string, message: string, retryAfter?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  get body(): { readonly error: { readonly code: string; readonly message: string } } {
    return { error: { code: this.code, message: this.message } };
  }
}

/** Names a bound and what changes it. */
export function limitProblem(status: 429 | 503, what: string, limit: string, value: number): Problem {
  const text = `${what} has ${value} already (--limit ${limit}=N changes that).`;
  return new Problem(status, 'limit_reached', text, status === 429 ? 60 : 5);
}
