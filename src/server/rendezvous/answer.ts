import { isUtf8 } from 'node:buffer';
import { limits } from '../../protocol/limits.ts';
import { describeCredential } from './credential.ts';
import type { PostAnswer } from './post.ts';
import { RegistrationError, retryAfter } from './registration-error.ts';
import { type Endpoint, type Framing, type RendezvousSettings, isOwnMachine } from './settings.ts';

/** What a registry has answered, checked. */
export interface Registration {
  /** Where the executor waits for clients; its query is a secret. */
  readonly url: URL;
  readonly framing: Framing;
  /** The environment that this executor serves now, or the executor's id where the answer names no environment. */
  readonly id: string;
}

/** Members that an answer has to have, each a text; in the order in which their absence is noticed. */
const required: Readonly<Record<Endpoint, readonly string[]>> = {
  cloud: ['id', 'environment_id', 'url'],
  executor: ['executor_id', 'url'],
  'executor-relay': ['executor_id', 'url'],
  environment: ['environment_id', 'url'],
  'environment-direct': ['transport', 'environment_id', 'registration_id', 'url'],
};

type Members = Readonly<Record<string, unknown>>;

export function readAnswer(answer: PostAnswer, settings: RendezvousSettings): Registration {
  const members = parse(answer.body);
  const { endpoint } = settings;
  const missing = required[endpoint].find((name) => !isText(members[name]));
  if (missing !== undefined) throw malformed(`it has no text "${missing}"`);
  if (members['security_profile'] !== undefined)
    throw malformed('it asks for encrypted relay frames, which this executor does not speak');
  const url = socketUrl(String(members['url']), settings);
  const framing = framingOf(members, settings);
  const environmentId = members['environment_id'];
  const id = String(environmentId ?? members['executor_id']);
  // Whoever asked for one environment must not serve another one. The other endpoints leave the choice to the service.
  if (endpoint.startsWith('environment') && id !== settings.id)
    throw malformed('it is about another environment than the one that was asked for');
  return { url, framing, id };
}

function parse(body: Buffer | undefined): Members {
  if (body === undefined) throw malformed(`it has more than ${limits.registrationAnswerBytes} bytes`);
  if (!isUtf8(body)) throw malformed('it is not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw malformed('it is no JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed('it is no JSON object');
  // No prototype to inherit members from.
  return { __proto__: null, ...value };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function socketUrl(text: string, { registry, allowHttp }: RendezvousSettings): URL {
  const url = text.length <= limits.rendezvousUrlLength && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^wss?:$/.test(url.protocol))
    throw malformed('its "url" is no ws:// or wss:// URL');
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    throw malformed('its "url" has credentials or a fragment');
  const isSecure = registry.startsWith('https:');
  if (url.protocol === 'ws:' && !allowHttp && !isOwnMachine(url)) {
    const where = isSecure ? 'though the registry itself is https' : 'to another machine';
    throw malformed(
      `its "url" is plain ws://, ${where}, and what runs here would be open to anybody on the way; have the service answer with wss://, or give --remote-allow-http`,
    );
  }
  return url;
}

/** The member says it, or the endpoint does, as it did before there was such a member. */
function framingOf(members: Members, { endpoint, framings }: RendezvousSettings): Framing {
  const said = members['transport'];
  if (said !== undefined) {
    const framing = framings.find((known) => known === said);
    if (framing === undefined || (endpoint === 'environment-direct' && framing !== 'direct_jsonrpc_v1'))
      throw malformed('its "transport" is not one that this executor offered');
    return framing;
  }
  const implied = impliedFraming(members, endpoint);
  if (!framings.includes(implied))
    throw malformed(`the registry speaks ${implied} only, and --remote-transport asks for the other one`);
  return implied;
}

function impliedFraming(members: Members, endpoint: Endpoint): Framing {
  switch (endpoint) {
    case 'cloud':
    case 'environment-direct':
      return 'direct_jsonrpc_v1';
    case 'executor':
      // Of the two generations that share the path, only the one with plain sockets answers with `id`.
      return isText(members['id']) ? 'direct_jsonrpc_v1' : 'relay_v1';
    case 'executor-relay':
    case 'environment':
      return 'relay_v1';
  }
}

function malformed(what: string): RegistrationError {
  return new RegistrationError(
    `the registry's answer cannot be used: ${what}. Is the URL that of a rendezvous for executors?`,
  );
}

/** Statuses that pass: a time-out, too early, too many, and whatever is wrong on the side of the service. */
function passes(status: number): boolean {
  return [408, 409, 425, 429].includes(status) || status >= 500;
}

/** Why a status is no success, and what to do. */
export function refusal(
  answer: PostAnswer & { readonly token: string },
  settings: RendezvousSettings,
  now: number,
): RegistrationError {
  const { status } = answer;
  const said = saidIn(answer.body, answer.token);
  const what = `the registry answers with ${status}${said === '' ? '' : ` (${said})`}`;
  const transient = passes(status);
  const retryAfterMs = transient
    ? retryAfter(answer.retryAfter, now, limits.registrationRetryAfterMs)
    : undefined;
  return new RegistrationError(`${what}${adviceFor(status, settings)}`, {
    transient,
    retryAfterMs,
    unauthorized: status === 401 || status === 403,
  });
}

function adviceFor(status: number, settings: RendezvousSettings): string {
  if (status === 401)
    return `: it does not know ${describeCredential(settings.credential)}; get a new one for this executor`;
  if (status === 403)
    return `: ${describeCredential(settings.credential)} does not permit this registration; get one for this environment`;
  if (status === 404)
    return ': the environment, or the address, is not known there; look at the id and the URL';
  if (status >= 300 && status < 400) return ': a redirect without a place to go to; look at the URL';
  return passes(status)
    ? ''
    : ': it does not take this registration; look at the id, the URL and the log of the service';
}

/** The code and text of an error, as far as they can be shown: a hostile service must not write into logs, and the token stays out. */
function saidIn(body: Buffer | undefined, token: string): string {
  if (body === undefined || !isUtf8(body)) return '';
  let error: unknown;
  try {
    error = (JSON.parse(body.toString()) as { error?: unknown } | null)?.error;
  } catch {
    return '';
  }
  const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as Members;
  const parts = [code, message].filter(isText);
  return parts
    .map((part) =>
      part
        .replaceAll(token, '…')
        .replace(/\?\S*/g, '')
        .replace(/[^\x20-\x7e…]/g, '?'),
    )
    .join(': ')
    .slice(0, limits.registrationRefusalLength)
    .trim();
}
