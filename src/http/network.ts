import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 bytes. */
type Address = readonly number[];

/** A network such as 10.0.0.0/8; a single address is one with all its bits. */
export interface Network {
  readonly base: Address;
  readonly bits: number;
}

/** Reads an address or a network in CIDR form; undefined for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  const base = parseAddress(address);
  if (base === undefined || rest.length > 0) return undefined;
  const most = base.length * 8;
  if (prefix === undefined) return { base, bits: most };
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Infinity;
  return bits <= most ? { base, bits } : undefined;
}

/** An address as the resolver and the sockets of Node write it. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return text.split('.').map(Number);
  // A link-local address can name its interface.
  const bare = text.replace(/%.*$/, '');
  return isIPv6(bare) ? parseIpv6(bare) : undefined;
}

export function contains({ base, bits }: Network, address: Address): boolean {
  if (base.length !== address.length) return false;
  return base.every((byte, index) => {
    const kept = Math.min(Math.max(bits - index * 8, 0), 8);
    const mask = (0xff << (8 - kept)) & 0xff;
    return (byte & mask) === ((address[index] ?? 0) & mask);
  });
}

/** The IPv4 address that sockets reach by way of a mapped IPv6 address. */
export function mappedIpv4(address: Address): Address | undefined {
  return contains(mapped, address) ? address.slice(12) : undefined;
}

/**
 * Every IPv4 address that some translator or tunnel on the way would reach by this IPv6 address. What is denied must not come back in
 * other clothes.
 */
export function embeddedIpv4(address: Address): readonly Address[] {
  if (address.length === 4) return [];
  const found: Address[] = [];
  const last = address.slice(12);
  if (tails.some((network) => contains(network, address)) || isIsatap(address)) found.push(last);
  if (contains(sixToFour, address)) found.push(address.slice(2, 6));
  if (contains(teredo, address))
    found.push(
      address.slice(4, 8),
      last.map((byte) => byte ^ 0xff),
    );
  if (contains(localNat64, address)) found.push([...address.slice(6, 8), ...address.slice(9, 11)], last);
  return found;
}

/** The text was found to be valid. */
function parseIpv6(text: string): Address {
  const [head = '', tail] = text.split('::');
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  return [...before, ...Array.from({ length: 16 - before.length - after.length }, () => 0), ...after];
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function known(text: string): Network {
  const network = parseNetwork(text);
  if (network === undefined) throw new Error(`${text} is no network`);
  return network;
}

const mapped = known('::ffff:0:0/96');
/** Mapped, compatible, translated (RFC 2765), and the well-known NAT64 prefix (RFC 6052). */
const tails = [mapped, known('::/96'), known('::ffff:0:0:0/96'), known('64:ff9b::/96')];
const sixToFour = known('2002::/16');
const teredo = known('2001::/32');
/** RFC 8215: the prefixes in it are of different lengths, so both places are looked at. */
const localNat64 = known('64:ff9b:1::/48');

/** RFC 5214: the interface part is 0:5efe or 200:5efe and the IPv4 address. */
function isIsatap(address: Address): boolean {
  const [a = 0, b = 0, c = 0, d = 0] = address.slice(8, 12);
  return (a & ~0x02) === 0 && b === 0 && c === 0x5e && d === 0xfe;
}
