import { domainToASCII } from 'node:url';
import { type Network, contains, embeddedIpv4, mappedIpv4, parseAddress, parseNetwork } from './network.ts';

/** Where requests may go, as an operator writes it. */
export interface EgressOptions {
  /** Only there, if given; nowhere at all if it is empty. */
  readonly allow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
  /** Lets requests reach link-local addresses and those of metadata services, which hand out credentials. */
  readonly allowMetadata?: boolean | undefined;
}

/** A rule that cannot be read. */
export class EgressRuleError extends Error {
  override readonly name = 'EgressRuleError';
}

interface Rule {
  readonly names: readonly string[];
  readonly networks: readonly Network[];
  readonly unix: boolean;
  /** First and last. */
  readonly ports: readonly [number, number];
}

const groups: Readonly<Record<string, readonly string[]>> = {
  any: ['0.0.0.0/0', '::/0'],
  loopback: ['127.0.0.0/8', '0.0.0.0/8', '::1', '::'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  /** Of the large clouds: what is not link-local there. */
  metadata: [
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    'fd20:ce::254',
    'fd00:42::42',
  ],
};

/** Decides by the name that a request is for and by each address that would be dialled for it. Deny wins. */
export class EgressPolicy {
  readonly #allow: readonly Rule[] | undefined;
  readonly #deny: readonly Rule[];

  constructor(options: EgressOptions = {}) {
    const always = options.allowMetadata === true ? [] : ['link-local', 'metadata'];
    this.#allow = options.allow?.map(parseRule);
    this.#deny = [...always, ...(options.deny ?? [])].map(parseRule);
  }

  /** May a request for `host` be sent to this address? `host` is as in a URL: lower case, an IPv6 address without brackets. */
  permits(host: string, port: number, address: string): boolean {
    const bytes = parseAddress(address);
    if (bytes === undefined) return false;
    const name = host.replace(/\.$/, '');
    const all = [bytes, ...embeddedIpv4(bytes)];
    const plain = [bytes, mappedIpv4(bytes)].filter((one) => one !== undefined);
    if (this.#deny.some((rule) => matches(rule, name, port, all))) return false;
    return this.#allow?.some((rule) => matches(rule, name, port, plain)) ?? true;
  }

  /** Paths are not compared: one socket can have many. */
  permitsUnixSockets(): boolean {
    return !this.#deny.some((rule) => rule.unix) && (this.#allow?.some((rule) => rule.unix) ?? true);
  }
}

/** Throws an EgressRuleError where one cannot be read. */
export function checkEgressRules(rules: readonly string[]): void {
  for (const rule of rules) parseRule(rule);
}

function matches(rule: Rule, host: string, port: number, addresses: readonly (readonly number[])[]): boolean {
  if (port < rule.ports[0] || port > rule.ports[1]) return false;
  const named = rule.names.some((name) => (name.startsWith('.') ? host.endsWith(name) : host === name));
  return named || rule.networks.some((network) => addresses.some((address) => contains(network, address)));
}

/** `NAME`, `*.NAME`, an address, a network, `[IPv6]`, or a group; a port or `FIRST-LAST` may follow behind a colon. */
function parseRule(text: string): Rule {
  const trimmed = text.trim().toLowerCase();
  if (trimmed === 'unix') return { names: [], networks: [], unix: true, ports: [1, 0] };
  const { target, ports } = splitPorts(trimmed, text);
  const rule = { names: [], networks: [], unix: trimmed === 'any', ports };
  const group = Object.hasOwn(groups, target) ? groups[target] : undefined;
  if (group !== undefined) return { ...rule, networks: group.map((one) => readNetwork(one, text)) };
  if (target.includes('/') || parseAddress(target) !== undefined) {
    return { ...rule, networks: [readNetwork(target, text)] };
  }
  const wild = target.startsWith('*.');
  const name = domainToASCII(wild ? target.slice(2) : target).replace(/\.$/, '');
  // What ends in a number is an address in a spelling that URLs would change.
  if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name) || /(^|\.)(\d+|0x[\da-f]*)$/.test(name)) {
    throw new EgressRuleError(
      `"${text}" is no name (example.org, *.example.org), address, network (10.0.0.0/8, [fc00::/7]) or group (${Object.keys(groups).join(', ')}, unix), with a port (:443, :8000-8999) if need be`,
    );
  }
  return { ...rule, names: [wild ? `.${name}` : name] };
}

function splitPorts(rule: string, text: string): { target: string; ports: readonly [number, number] } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(rule);
  const colons = rule.split(':').length - 1;
  const [, target = rule, ports] =
    bracketed ?? (colons === 1 ? (/^([^:]*):(.*)$/.exec(rule) ?? []) : [rule, rule, undefined]);
  if (ports === undefined) return { target, ports: [0, 65_535] };
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports) ?? [];
  if (first === undefined || Number(last) > 65_535 || Number(first) > Number(last)) {
    throw new EgressRuleError(`"${text}" has no port or range of ports behind the colon`);
  }
  return { target, ports: [Number(first), Number(last)] };
}

function readNetwork(target: string, text: string): Network {
  const network = parseNetwork(target);
  if (network === undefined)
    throw new EgressRuleError(`"${text}" is no network; write 10.0.0.0/8 or [fc00::/7]`);
  return network;
}
