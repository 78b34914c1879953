import { readFile, readdir, readlink } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { isIPv4 } from 'node:net';
import { confinedRoots } from '../process/confined-roots.ts';

export interface PeerAddress {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localPort?: number | undefined;
}

/**
 * Whether a connection may come from a confined process of this executor: served as a client it would leave its sandbox. A connection
 * from this host whose holder cannot be found counts as one, because a descriptor on its way between two processes is in neither.
 * Only asked while there are such processes; other hosts have none.
 */
export async function mayBeConfined(peer: PeerAddress): Promise<boolean> {
  if (confinedRoots().size === 0 || !isOwnAddress(peer.remoteAddress)) return false;
  const inode = await socketInode(peer);
  if (inode === undefined) return true;
  const holders = await holdersOf(inode);
  if (holders.length === 0) return true;
  const parents = await parentsOfAll();
  return holders.some((holder) => isBelowRoot(holder, parents));
}

function isOwnAddress(address: string | undefined): boolean {
  if (address === undefined) return true;
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '').split('%')[0] ?? address;
  if (plain.startsWith('127.') || plain === '::1') return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === plain));
}

/** The kernel's tables: `sl local_address rem_address st … inode`, addresses in hexadecimal, the port behind the colon. */
async function socketInode(peer: PeerAddress): Promise<string | undefined> {
  const port = (number: number | undefined): string =>
    (number ?? 0).toString(16).toUpperCase().padStart(4, '0');
  const [local, remote] = [port(peer.remotePort), port(peer.localPort)];
  const tables = isIPv4(peer.remoteAddress ?? '') ? ['tcp', 'tcp6'] : ['tcp6', 'tcp'];
  for (const table of tables) {
    const text = await readFile(`/proc/net/${table}`, 'latin1').catch(() => '');
    for (const line of text.split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(`:${local}`) && fields[2]?.endsWith(`:${remote}`) && fields[9] !== '0')
        return fields[9];
    }
  }
  return undefined;
}

async function holdersOf(inode: string): Promise<number[]> {
  const wanted = `socket:[${inode}]`;
  const found: number[] = [];
  for (const pid of await pids()) {
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const fd of fds) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) !== wanted) continue;
      found.push(pid);
      break;
    }
  }
  return found;
}

async function parentsOfAll(): Promise<ReadonlyMap<number, number>> {
  const parents = new Map<number, number>();
  for (const pid of await pids()) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    // Behind the name, which may contain anything: the state and the parent.
    const parent = /\) \S (\d+)/.exec(stat.slice(stat.lastIndexOf(')')))?.[1];
    if (parent !== undefined) parents.set(pid, Number(parent));
  }
  return parents;
}

function isBelowRoot(pid: number, parents: ReadonlyMap<number, number>): boolean {
  const seen = new Set<number>();
  for (let at: number | undefined = pid; at !== undefined && !seen.has(at); at = parents.get(at)) {
    if (confinedRoots().has(at)) return true;
    seen.add(at);
  }
  return false;
}

async function pids(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}
