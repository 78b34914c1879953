import { limits } from '../../protocol/limits.ts';
import { withDeadline } from '../../support/deadline.ts';
import { version } from '../../version.ts';
import { readAnswer, refusal, type Registration } from './answer.ts';
import { readCredential } from './credential.ts';
import { idempotencyId, ownIdempotencyId } from './idempotency.ts';
import { type PostAnswer, placeOf, post } from './post.ts';
import { RegistrationError } from './registration-error.ts';
import type { Secure } from './secure.ts';
import type { RendezvousSettings } from './settings.ts';

/** Registers one executor, as often as it has to. */
export class Registrar {
  readonly #settings: RendezvousSettings;
  readonly #secure: () => Promise<Secure>;
  readonly #timeoutMs: number;
  /** For the endpoint whose ids stand for one run. */
  readonly #runId = ownIdempotencyId();

  constructor(
    settings: RendezvousSettings,
    secure: () => Promise<Secure>,
    timeoutMs: number = limits.registrationMs,
  ) {
    this.#settings = settings;
    this.#secure = secure;
    this.#timeoutMs = timeoutMs;
  }

  /** Rejects with a RegistrationError, or with the reason of the signal. */
  async register(signal: AbortSignal): Promise<Registration> {
    const place = placeOf(new URL(this.#settings.registry));
    return withDeadline(
      this.#timeoutMs,
      () =>
        new RegistrationError(`${place} has not answered within ${this.#timeoutMs} ms`, { transient: true }),
      signal,
      (inner) => this.#register(inner),
    );
  }

  /** A token may have been replaced since it was read: a refused one is read and shown once more. */
  async #register(signal: AbortSignal): Promise<Registration> {
    let answer = await this.#send(signal);
    if (answer.status === 401 || answer.status === 403) answer = await this.#send(signal);
    if (answer.status < 200 || answer.status > 299) throw refusal(answer, this.#settings, Date.now());
    return readAnswer(answer, this.#settings);
  }

  async #send(signal: AbortSignal): Promise<PostAnswer & { readonly token: string }> {
    const { registry, credential, accountId, framings, id, name, endpoint } = this.#settings;
    const token = await readCredential(credential).catch((cause: unknown) => {
      throw new RegistrationError((cause as Error).message, { cause });
    });
    const url = new URL(registry + this.#path());
    const secure = url.protocol === 'https:' ? await this.#secure() : undefined;
    const body = this.#body();
    const headers = {
      authorization: `Bearer ${token}`,
      ...(accountId !== undefined && { 'chatgpt-account-id': accountId }),
      'x-exec-server-transports': framings.join(', '),
      'x-exec-server-version': version,
      // The other endpoints have a place for them in the body.
      ...(endpoint !== 'cloud' &&
        endpoint !== 'executor' && {
          'x-exec-server-name': name,
          'x-exec-server-idempotency-id': idempotencyId(accountId ?? '', id, name),
        }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    };
    const sent = { url, headers, body: body === undefined ? undefined : JSON.stringify(body) };
    return { ...(await post(sent, { signal, secure })), token };
  }

  #path(): string {
    // A slash or a question mark in an id must not make another path of it.
    const id = encodeURIComponent(this.#settings.id ?? '');
    switch (this.#settings.endpoint) {
      case 'cloud':
        return '/api/cloud/executor';
      case 'executor':
      case 'executor-relay':
        return `/cloud/executor/${id}/register`;
      case 'environment':
        return `/cloud/environment/${id}/register`;
      case 'environment-direct':
        return `/cloud/environment/${id}/direct/register`;
    }
  }

  #body(): object | undefined {
    const { endpoint, id, name, accountId = '' } = this.#settings;
    const described = { name, labels: {}, metadata: {} };
    switch (endpoint) {
      case 'cloud': {
        const environment = id === undefined ? {} : { environment_id: id };
        return { idempotency_id: idempotencyId(accountId, id, name), ...environment, ...described };
      }
      case 'executor':
        return { idempotency_id: this.#runId, executor_id: id, ...described };
      case 'environment-direct':
        return { transport: 'direct_jsonrpc_v1' };
      case 'executor-relay':
      case 'environment':
        return undefined;
    }
  }
}
