import { invalidRequest } from '../protocol/errors.ts';
import type { HttpField } from '../protocol/http-field.ts';
import type { WireResult } from '../protocol/methods.ts';
import { httpFailure } from './failure.ts';
import type { ResponseBody } from './response-body.ts';
import type { UploadBody } from './upload-body.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly HttpField[];
  /** Where it comes from, after redirects. */
  readonly url: string;
  readonly timing: NonNullable<WireResult<'http/request'>['timing']>;
  readonly body: ResponseBody;
}

interface Work {
  readonly upload: UploadBody | undefined;
  readonly timeoutMs: number | undefined;
  readonly send: (signal: AbortSignal) => Promise<HttpAnswer>;
}

/** Milliseconds that a timer can count: what is longer is as good as no deadline. */
const longestTimerMs = 2_147_483_647;

/** One request until its body has been taken: deadline, cancellation, end. */
export class HttpRequest {
  /** Where its body is a stream. */
  readonly upload: UploadBody | undefined;
  readonly #work: Work;
  readonly #ended = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  #started = false;

  constructor(work: Work) {
    this.#work = work;
    this.upload = work.upload;
    void this.upload?.aborted.then((failure) => this.#stop.abort(failure));
  }

  /** Resolves when the request holds nothing any more. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves with the header of the answer. `outer` gives the request up, at any time. */
  async start(outer: AbortSignal): Promise<HttpAnswer> {
    this.#started = true;
    const { timeoutMs, send } = this.#work;
    const late = (): void => this.#stop.abort(httpFailure(`it timed out after ${timeoutMs} ms`));
    const timer =
      timeoutMs !== undefined && timeoutMs <= longestTimerMs ? setTimeout(late, timeoutMs) : undefined;
    const gone = (): void => this.cancel();
    outer.addEventListener('abort', gone);
    const end = (): void => {
      clearTimeout(timer);
      outer.removeEventListener('abort', gone);
      this.#end();
    };
    try {
      if (outer.aborted) gone();
      if (timeoutMs === 0) late();
      this.#stop.signal.throwIfAborted();
      const answer = await send(this.#stop.signal);
      void answer.body.abandoned.then(end);
      return answer;
    } catch (error) {
      end();
      throw error;
    }
  }

  cancel(): void {
    this.#stop.abort(httpFailure('it was cancelled'));
    if (!this.#started) this.#end();
  }

  #end(): void {
    this.upload?.fail(invalidRequest('the request has ended'));
    this.#ended.resolve();
  }
}
