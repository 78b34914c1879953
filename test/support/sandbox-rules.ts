import type { HostFacts } from '../../src/sandbox/host.ts';
import type { Mount, MountPlan } from '../../src/sandbox/mounts.ts';
import { type Access, type ResolvedSandbox, type Rule, comparePaths } from '../../src/sandbox/rules.ts';

/** `/w:write`, `/w/.env:none file`, `/w/a/b:read missing /w/a`: path, access, kind (a directory if it is not said) and place. */
export function rule(text: string, more: Partial<Rule> = {}): Rule {
  const [named = '', kind = 'directory', place] = text.split(' ');
  const colon = named.lastIndexOf(':');
  const path = Buffer.from(named.slice(0, colon));
  const access = named.slice(colon + 1) as Access;
  const isThere = kind === 'directory' || kind === 'file' || kind === 'other';
  return {
    path,
    place: place === undefined ? path : Buffer.from(place),
    access,
    source: `${access} ${path.toString()}`,
    kind: kind as Rule['kind'],
    identity: isThere ? `1:${path.length}` : undefined,
    firstMissing: kind === 'missing' ? Buffer.from(place ?? path) : undefined,
    protectedMetadata: path.toString().endsWith('/.git'),
    aliases: [],
    ...more,
  };
}

export function sorted(rules: readonly Rule[]): Rule[] {
  return rules.toSorted((a, b) => comparePaths(a.path, b.path));
}

export function sandboxWith(
  rules: readonly (string | Rule)[],
  network: ResolvedSandbox['network'] = 'restricted',
): ResolvedSandbox {
  const all = sorted(rules.map((one) => (typeof one === 'string' ? rule(one) : one)));
  const denies = all.some(({ access }) => access === 'none');
  return { network, fileSystem: { kind: 'restricted', rules: all, minimal: false, denies }, notes: [] };
}

/** One mount as a line: `bind rw /w`, `mask /w/a`, `mask file /w/f`, `link /a -> /b`. */
export function shownMount(mount: Mount): string {
  const path = mount.path.toString();
  switch (mount.kind) {
    case 'bind':
      return `bind ${mount.writable ? 'rw' : 'ro'} ${path}`;
    case 'maskDirectory':
      return `mask${mount.traversable ? ' traversable' : ''} ${path}`;
    case 'maskFile':
      return `mask file ${path}`;
    case 'link':
      return `link ${path} -> ${mount.target.toString()}`;
  }
}

export function shownMounts({ mounts }: MountPlan): string[] {
  return mounts.map(shownMount);
}

export function shownPaths(paths: readonly Buffer[] | undefined): string[] | undefined {
  return paths?.map((path) => path.toString());
}

const launcher = { usable: true, path: '/launcher' } as const;
const noBubblewrap = { usable: false, problem: 'no bubblewrap', fix: 'install bubblewrap' } as const;
const noLandlock = { usable: false, problem: 'no Landlock', fix: 'use another kernel' } as const;
const bubblewrap = { usable: true, path: '/usr/bin/bwrap', ownProc: true } as const;
const landlock = { usable: true, abi: 7, broker: true } as const;

/** What hosts can do. */
export const hosts = {
  both: { launcher, bubblewrap, landlock },
  withoutProc: { launcher, bubblewrap: { ...bubblewrap, ownProc: false }, landlock },
  bubblewrapOnly: { launcher, bubblewrap, landlock: noLandlock },
  landlockOnly: { launcher, bubblewrap: noBubblewrap, landlock },
  withoutBroker: { launcher, bubblewrap: noBubblewrap, landlock: { ...landlock, broker: false } },
  neither: { launcher, bubblewrap: noBubblewrap, landlock: noLandlock },
  withoutLauncher: {
    launcher: { usable: false, problem: 'no launcher', fix: 'build it' },
    bubblewrap,
    landlock,
  },
} as const satisfies Record<string, HostFacts>;
