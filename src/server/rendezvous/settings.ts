import { hostname } from 'node:os';
import { isLoopback } from '../../access/loopback.ts';
import type { Credential } from './credential.ts';

/** What an executor can speak over the socket that a registry names: relay frames, or one JSON-RPC message a frame. */
export type Framing = 'relay_v1' | 'direct_jsonrpc_v1';

/** The path that registers, and what its body and answer are like. */
export type Endpoint = 'cloud' | 'executor' | 'executor-relay' | 'environment' | 'environment-direct';

/** How an executor registers with a rendezvous. */
export interface RendezvousSettings {
  /** http or https, without a slash at its end. */
  readonly registry: string;
  readonly endpoint: Endpoint;
  /** Of the environment, or of the executor where the endpoint is about those. Only `cloud` works without one: the service chooses. */
  readonly id: string | undefined;
  readonly name: string;
  /** What it says that it speaks, the preferred one first. */
  readonly framings: readonly Framing[];
  readonly credential: Credential;
  /** The account that the token is for, where the registry asks for it. */
  readonly accountId: string | undefined;
  /** Plain http and ws to other machines are accepted. */
  readonly allowHttp: boolean;
}

export const remoteTransports = ['relay', 'direct'] as const;

/** The flags as they were given. */
export interface RendezvousFlags {
  readonly remote?: string | undefined;
  readonly environmentId?: string | undefined;
  readonly executorId?: string | undefined;
  readonly name?: string | undefined;
  readonly remoteTransport?: (typeof remoteTransports)[number] | undefined;
  readonly remoteTokenFile?: string | undefined;
  readonly remoteAllowHttp?: boolean | undefined;
  readonly cloud?: boolean | undefined;
  readonly cloudBaseUrl?: string | undefined;
  readonly cloudEnvironmentId?: string | undefined;
  readonly cloudName?: string | undefined;
  readonly chatgptAccountId?: string | undefined;
}

/** Variables that hold the token, the first one that is set wins. The second is what releases of May 2026 read. */
export const tokenVariables = ['EXEC_SERVER_REMOTE_TOKEN', 'CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN'] as const;

/** Characters of an id or a name. */
const mostCharacters = 256;

/** The name that an executor of the codex command line gives itself, which goes into its idempotency id. */
const codexName = 'codex-exec-server';

/** Checks the flags against each other. Answers a text that says what is wrong; undefined where the executor is to listen. */
export function rendezvousSettings(
  flags: RendezvousFlags,
  listens: boolean,
  env: Readonly<Record<string, string>>,
): RendezvousSettings | string | undefined {
  const cloud = flags.cloud === true;
  if (!cloud && flags.remote === undefined) return strayFlag(flags);
  const flag = cloud ? '--cloud' : '--remote';
  if (cloud && flags.remote !== undefined)
    return '--cloud and --remote are two ways to register; give one of them';
  if (listens)
    return `${flag} and --listen exclude each other: an executor that registers with a rendezvous opens no port`;
  const target = cloud ? cloudTarget(flags) : remoteTarget(flags);
  if (typeof target === 'string') return target;
  const registry = registryUrl(target.url, target.urlFlag, flags.remoteAllowHttp === true);
  if (typeof registry === 'string') return registry;
  const accountId = flags.chatgptAccountId?.trim();
  if (accountId !== undefined && !isPlainText(accountId))
    return `--chatgpt-account-id must be 1 to ${mostCharacters} printable ASCII characters`;
  const credential = credentialOf(flags.remoteTokenFile, env);
  if (typeof credential === 'string') return credential;
  const { endpoint, id, name, framings } = target;
  return {
    registry: registry.base,
    endpoint,
    id,
    name,
    framings,
    credential,
    accountId,
    allowHttp: flags.remoteAllowHttp === true,
  };
}

interface Target extends Pick<RendezvousSettings, 'endpoint' | 'id' | 'name' | 'framings'> {
  readonly url: string;
  readonly urlFlag: string;
}

function remoteTarget(flags: RendezvousFlags): Target | string {
  const { environmentId, executorId, remoteTransport } = flags;
  const stray = cloudFlags(flags);
  if (stray !== undefined) return `${stray} needs --cloud`;
  if (environmentId !== undefined && executorId !== undefined)
    return '--environment-id and --executor-id name two things to register as; give one of them';
  const [given, flag] =
    executorId === undefined ? [environmentId, '--environment-id'] : [executorId, '--executor-id'];
  if (given === undefined)
    return '--remote needs --environment-id ID, the environment that this executor serves';
  const id = given.trim();
  const problem = idProblem(id, flag);
  if (problem !== undefined) return problem;
  const isExecutor = executorId !== undefined;
  const name = nameOf(flags.name, isExecutor ? codexName : ownHostName());
  if (name === undefined) return nameProblem('--name');
  const endpoint = {
    executor: remoteTransport === 'relay' ? 'executor-relay' : 'executor',
    environment: remoteTransport === 'direct' ? 'environment-direct' : 'environment',
  } as const;
  return {
    url: flags.remote ?? '',
    urlFlag: '--remote',
    endpoint: endpoint[isExecutor ? 'executor' : 'environment'],
    id,
    name,
    framings: framingsOf(remoteTransport),
  };
}

function cloudTarget(flags: RendezvousFlags): Target | string {
  const stray =
    (flags.environmentId !== undefined && '--environment-id is for --remote; write --cloud-environment-id') ||
    (flags.executorId !== undefined && '--executor-id is for --remote; write --cloud-environment-id') ||
    (flags.name !== undefined && '--name is for --remote; write --cloud-name');
  if (stray !== false) return stray;
  const url = flags.cloudBaseUrl;
  if (url === undefined)
    return '--cloud needs the URL of the registry: give --cloud-base-url or set CODEX_CLOUD_ENVIRONMENTS_BASE_URL';
  const id = flags.cloudEnvironmentId?.trim();
  const problem = id === undefined ? undefined : idProblem(id, '--cloud-environment-id');
  if (problem !== undefined) return problem;
  const name = nameOf(flags.cloudName, codexName);
  if (name === undefined) return nameProblem('--cloud-name');
  const framings = framingsOf(flags.remoteTransport);
  return { url, urlFlag: '--cloud-base-url', endpoint: 'cloud', id, name, framings };
}

function framingsOf(transport: RendezvousFlags['remoteTransport']): readonly Framing[] {
  if (transport === undefined) return ['relay_v1', 'direct_jsonrpc_v1'];
  return [transport === 'relay' ? 'relay_v1' : 'direct_jsonrpc_v1'];
}

/** A flag that would be without effect, where its user believes otherwise. */
function strayFlag(flags: RendezvousFlags): string | undefined {
  const stray = cloudFlags(flags);
  if (stray !== undefined) return `${stray} needs --cloud`;
  const { environmentId, executorId, name, remoteTransport, remoteTokenFile, remoteAllowHttp } = flags;
  const given = Object.entries({
    environmentId,
    executorId,
    name,
    remoteTransport,
    remoteTokenFile,
    remoteAllowHttp: remoteAllowHttp === true ? true : undefined,
    chatgptAccountId: flags.chatgptAccountId,
  });
  const [key] = given.find(([, value]) => value !== undefined) ?? [];
  return key === undefined ? undefined : `${flagOf(key)} needs --remote URL, the rendezvous to register with`;
}

/** `cloudBaseUrl` has a variable that may be set for good, so that it alone means nothing. */
function cloudFlags({ cloudEnvironmentId, cloudName }: RendezvousFlags): string | undefined {
  if (cloudEnvironmentId !== undefined) return '--cloud-environment-id';
  return cloudName === undefined ? undefined : '--cloud-name';
}

function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Where the token may travel in clear text: nowhere but inside this machine, unless that is asked for. */
function registryUrl(text: string, flag: string, allowHttp: boolean): { readonly base: string } | string {
  const trimmed = text.trim().replace(/\/+$/, '');
  const url = URL.canParse(trimmed) ? new URL(trimmed) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !/^https?:\/\/[^/]/i.test(trimmed))
    return `${flag} must be the URL of a rendezvous, such as https://rendezvous.example.org`;
  if (url.username !== '' || url.password !== '')
    return `${flag} must hold no credentials; give the token with --remote-token-file or ${tokenVariables[0]}`;
  if (/[?#]/.test(trimmed)) return `${flag} must have no query and no fragment`;
  if (url.protocol === 'http:' && !allowHttp && !isOwnMachine(url))
    return `${flag} is plain http to another machine, where anybody on the way can read the token; write https, or give --remote-allow-http`;
  return { base: trimmed };
}

/** Whether a URL leads to this machine and no other. */
export function isOwnMachine({ hostname }: URL): boolean {
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

function credentialOf(file: string | undefined, env: Readonly<Record<string, string>>): Credential | string {
  if (file !== undefined) return { file };
  for (const variable of tokenVariables) {
    const token = env[variable]?.trim();
    if (token === undefined) continue;
    if (token === '') return `${variable} is empty; set it to the token of this executor`;
    if (!isTokenText(token)) return `${variable} is no token; it must be printable ASCII without blanks`;
    return { variable, token };
  }
  return `a rendezvous asks executors for a token: give --remote-token-file FILE, or set ${tokenVariables.join(' or ')}`;
}

function isTokenText(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** It becomes one segment of a path: `.` and `..` would change the path however they are written. */
function idProblem(id: string, flag: string): string | undefined {
  if (id === '') return `${flag} is empty`;
  if (id === '.' || id === '..') return `${flag} must not be "${id}"`;
  if (id.length > mostCharacters || /\p{Cc}/u.test(id) || !id.isWellFormed())
    return `${flag} must be 1 to ${mostCharacters} characters without control characters`;
  return undefined;
}

function nameOf(given: string | undefined, otherwise: string): string | undefined {
  const name = given?.trim() ?? otherwise;
  return isPlainText(name) ? name : undefined;
}

function nameProblem(flag: string): string {
  return `${flag} must be 1 to ${mostCharacters} printable ASCII characters`;
}

/** What fits into a header, too. */
function isPlainText(text: string): boolean {
  return /^[\x20-\x7e]+$/.test(text) && text.length <= mostCharacters;
}

/** Of the machine: what tells the executors of one environment apart for a human. */
function ownHostName(): string {
  const name = hostname().replace(/[^\x21-\x7e]/g, '?');
  return name === '' ? codexName : name.slice(0, mostCharacters);
}
