import type { SecureContext } from 'node:tls';
import { limits } from '../protocol/limits.ts';
import type { Params } from '../protocol/methods.ts';
import { trustedAuthorities } from './certificates.ts';
import { type Dialled, type Resolve, dial, systemResolve } from './dial.ts';
import { EgressPolicy, type EgressOptions } from './egress.ts';
import { httpFailure } from './failure.ts';
import { type HttpAnswer, HttpRequest } from './http-request.ts';
import type * as Sender from './send.ts';
import { type OutgoingRequest, outgoingRequest, redirected } from './outgoing-request.ts';
import { UploadBody } from './upload-body.ts';

type RequestParams = Params<'http/request'>;

export interface HttpOptions {
  /** The executor's own variables: certificates, and what headers may take their values from. */
  readonly env: Readonly<Record<string, string>>;
  readonly egress?: EgressOptions | undefined;
  /** The system's resolver if absent. */
  readonly resolve?: Resolve | undefined;
}

/** Makes HTTP requests: what all connections of an executor share. */
export class HttpRequests {
  readonly #env: HttpOptions['env'];
  readonly #egress: EgressPolicy;
  readonly #resolve: Resolve;
  #authorities: SecureContext | undefined;
  #sender: Promise<typeof Sender> | undefined;

  constructor(options: HttpOptions) {
    this.#env = options.env;
    this.#egress = new EgressPolicy(options.egress);
    this.#resolve = options.resolve ?? systemResolve;
  }

  /** Checks a request. Throws what is wrong with it; nothing has been sent then. */
  prepare(params: RequestParams): HttpRequest {
    const upload = params.bodyStreamId == null ? undefined : new UploadBody();
    const request = outgoingRequest(params, upload, this.#env);
    return new HttpRequest({
      upload,
      timeoutMs: params.timeoutMs ?? undefined,
      send: (signal) => this.#send(request, params.redirectPolicy === 'follow', signal),
    });
  }

  async #send(first: OutgoingRequest, follow: boolean, signal: AbortSignal): Promise<HttpAnswer> {
    const started = performance.now();
    // undici takes a tenth of a second to load, which only executors that make requests spend.
    this.#sender ??= import('./send.ts');
    const { send } = await this.#sender;
    let request = first;
    for (let redirects = 0; ; redirects++) {
      signal.throwIfAborted();
      const { socket, ...phases } = await this.#dial(request, signal);
      const answer = await send(request, socket, signal);
      try {
        const location = answer.headers.find(({ name }) => name === 'location')?.value;
        const next = follow ? redirected(request, answer.status, location) : undefined;
        if (next === undefined) {
          const firstByteMs = performance.now() - started;
          return { ...answer, url: request.url.href, timing: { ...phases, firstByteMs } };
        }
        if (redirects === limits.httpRedirects) throw httpFailure('too many redirects');
        request = next;
      } catch (error) {
        answer.body.abandon();
        throw error;
      }
      answer.body.abandon();
    }
  }

  async #dial({ url, unixSocket }: OutgoingRequest, signal: AbortSignal): Promise<Dialled> {
    const tls = url.protocol === 'https:';
    if (tls) this.#authorities ??= await trustedAuthorities(this.#env);
    const target = {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(url.port) || (tls ? 443 : 80),
      unixSocket,
      tls: tls ? this.#authorities : undefined,
    };
    return dial(target, { egress: this.#egress, resolve: this.#resolve, signal });
  }
}
