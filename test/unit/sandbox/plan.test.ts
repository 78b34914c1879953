import { describe, expect, it } from 'vitest';
import type { HostFacts } from '../../../src/sandbox/host.ts';
import { type Plan, type Refusal, type WeakerGuarantee, plan } from '../../../src/sandbox/plan.ts';
import type { ResolvedSandbox } from '../../../src/sandbox/rules.ts';
import { hosts, rule, sandboxWith, shownPaths } from '../../support/sandbox-rules.ts';

const open: ResolvedSandbox = { network: 'enabled', fileSystem: { kind: 'unrestricted' }, notes: [] };
const cut: ResolvedSandbox = { ...open, network: 'restricted' };
const readOnly = sandboxWith(['/:read']);
const workspace = sandboxWith(['/:read', '/w:write', '/w/.git:read']);
const carved = sandboxWith(['/:read', '/w:write', '/w/src:read']);
const denied = sandboxWith(['/:read', '/w:write', '/w/.env:none file']);
const few = sandboxWith(['/usr:read', '/w:write']);

const profiles = { open, cut, readOnly, workspace, carved, denied, few };

/** The enforcer, or what is refused. */
const table: Readonly<Record<keyof typeof hosts, Readonly<Record<keyof typeof profiles, string>>>> = {
  both: all('bubblewrap'),
  withoutProc: all('bubblewrap'),
  bubblewrapOnly: all('bubblewrap'),
  landlockOnly: { ...all('landlock'), denied: 'refused none /w/.env' },
  withoutBroker: {
    ...all('landlock'),
    workspace: 'refused read /w/.git',
    carved: 'refused read /w/src',
    denied: 'refused none /w/.env',
  },
  neither: all('refused'),
  withoutLauncher: { ...all('refused'), cut: 'refused' },
};

function all(files: string): Record<keyof typeof profiles, string> {
  const rest = { readOnly: files, workspace: files, carved: files, denied: files, few: files };
  return { open: 'none', cut: 'seccomp', ...rest };
}

function outcome(found: Plan | Refusal): string {
  if ('enforcement' in found) return found.enforcement.enforcer;
  return found.rule === undefined ? 'refused' : `refused ${found.rule}`;
}

const cells = Object.entries(table).flatMap(([host, row]) =>
  Object.entries(row).map(([profile, expected]) => [profile, host, expected] as const),
);

describe('a plan', () => {
  it.each(cells)('for %s on a host of kind %s: %s', (profile, host, expected) => {
    const sandbox = profiles[profile as keyof typeof profiles];
    const found = plan(sandbox, hosts[host as keyof typeof hosts]);
    expect(outcome(found)).toBe(expected);
    if ('refused' in found) {
      expect(found.refused).toMatch(/\.$/);
      expect(found.fix).not.toBe('');
      if (found.rule !== undefined) expect(found.refused).toContain(found.rule);
      return;
    }
    expect(found.networkCut).toBe(sandbox.network === 'restricted');
    expect(found.givenUp).toEqual([]);
  });

  it('cuts no network that is enabled', () => {
    expect(plan(sandboxWith(['/:read'], 'enabled'), hosts.both)).toMatchObject({ networkCut: false });
  });

  it('says whether the sandbox gets a /proc of its own', () => {
    for (const [host, ownProc] of [
      [hosts.both, true],
      [hosts.withoutProc, false],
    ] as const)
      expect(plan(workspace, host)).toMatchObject({ enforcement: { ownProc } });
  });

  it('names what is missing where nothing can be enforced, and what to do', () => {
    expect(plan(workspace, hosts.neither)).toEqual({
      refused: 'This host cannot enforce a sandbox: no bubblewrap; no Landlock.',
      fix: 'install bubblewrap',
    });
    expect(plan(workspace, hosts.withoutLauncher)).toEqual({
      refused: 'No sandbox can be enforced: no launcher.',
      fix: 'build it',
    });
    expect(plan(cut, hosts.withoutLauncher)).toEqual({
      refused: 'A restricted network cannot be enforced: no launcher.',
      fix: 'build it',
    });
  });
});

function landlock(sandbox: ResolvedSandbox, host: HostFacts = hosts.landlockOnly) {
  const found = plan(sandbox, host);
  if (!('enforcement' in found) || found.enforcement.enforcer !== 'landlock') return found;
  const { readable, writable, protected: guarded } = found.enforcement.grants;
  return {
    readable: shownPaths(readable),
    writable: shownPaths(writable),
    protected: shownPaths(guarded),
  };
}

describe('grants of Landlock', () => {
  const rows: readonly [
    title: string,
    rules: string[],
    readable: string[] | undefined,
    writable: string[],
    guarded?: string[],
  ][] = [
    ['nothing by no rules', [], [], []],
    ['reads are not handled where everything is read', ['/:read'], undefined, []],
    ['everything', ['/:write', '/w/.git:read'], undefined, ['/'], ['/w/.git']],
    [
      'what is there, and a writable tree is readable',
      ['/usr:read', '/w:write', '/x:write file'],
      ['/usr', '/w', '/x'],
      ['/w', '/x'],
    ],
    [
      'a denial of the whole disk is where it starts from anyway',
      ['/:none', '/usr:read', '/w:write'],
      ['/usr', '/w'],
      ['/w'],
    ],
    ['a denial where nothing is granted is none', ['/:none', '/w:write', '/x:none'], ['/w'], ['/w']],
    [
      'metadata that is there, or not',
      ['/:read', '/w:write', '/w/.git:read', '/w/.codex:read missing'],
      undefined,
      ['/w'],
      ['/w/.codex', '/w/.git'],
    ],
    [
      'what is missing is guarded by its first missing part',
      ['/:read', '/w:write', '/w/a/b:read missing /w/a', '/w/c/d:none missing /w/c'],
      undefined,
      ['/w'],
      ['/w/a', '/w/c'],
    ],
    [
      'what is missing in a readable tree needs nothing',
      ['/:read', '/a:none missing', '/w:write'],
      undefined,
      ['/w'],
    ],
    [
      'a writable tree in a guarded one',
      ['/:read', '/w:write', '/w/src:read', '/w/src/out:write'],
      undefined,
      ['/w', '/w/src/out'],
      ['/w/src'],
    ],
    [
      'a grant in a denied tree',
      ['/:none', '/s:none', '/s/pub:write', '/s/pub/x:read'],
      ['/s/pub', '/s/pub/x'],
      ['/s/pub'],
      ['/s/pub/x'],
    ],
    [
      'what is like its surroundings is granted once more, which changes nothing',
      ['/usr:read', '/usr/bin:read', '/w:write', '/w/a:write'],
      ['/usr', '/usr/bin', '/w', '/w/a'],
      ['/w', '/w/a'],
    ],
    [
      'what is behind a closed directory needs nothing where it is read',
      ['/:read', '/w:none hidden'],
      undefined,
      [],
    ],
  ];
  it.each(rows)('%s', (_title, rules, readable, writable, guarded = []) => {
    expect(landlock(sandboxWith(rules))).toEqual({ readable, writable, protected: guarded });
  });

  it.each([
    [['/:read', '/w:none'], '/w'],
    [['/:read', '/w:write', '/w/s:none'], '/w/s'],
    [['/:read', '/w:write', '/w/.env:none file'], '/w/.env'],
    [['/usr:read', '/usr/bin:none'], '/usr/bin'],
    [['/:write', '/s:none other'], '/s'],
  ])('are refused for %j, naming the denial', (rules, path) => {
    const found = plan(sandboxWith(rules), hosts.landlockOnly);
    expect(found).toEqual({
      refused: `This host enforces by Landlock, which cannot deny a path inside of a grant: none ${path}.`,
      rule: `none ${path}`,
      fix: 'install bubblewrap',
    });
  });
});

describe('a host without a broker', () => {
  const allow: ReadonlySet<WeakerGuarantee> = new Set(['protected-metadata']);

  it('says that protected metadata can be given up, and of other rules that they cannot', () => {
    expect(plan(workspace, hosts.withoutBroker)).toMatchObject({
      rule: 'read /w/.git',
      fix: 'install bubblewrap, or start the executor with --allow-weaker protected-metadata',
    });
    expect(plan(carved, hosts.withoutBroker)).toMatchObject({
      rule: 'read /w/src',
      fix: 'install bubblewrap',
    });
  });

  it('gives it up only where an operator said so, and says that it did', () => {
    const found = plan(workspace, hosts.withoutBroker, allow);
    expect(found).toMatchObject({ enforcement: { enforcer: 'landlock' }, givenUp: ['protected-metadata'] });
    expect(landlock(workspace)).toMatchObject({ writable: ['/w'], protected: ['/w/.git'] });
  });

  it('gives up nothing else by that', () => {
    expect(outcome(plan(carved, hosts.withoutBroker, allow))).toBe('refused read /w/src');
    expect(outcome(plan(denied, hosts.withoutBroker, allow))).toBe('refused none /w/.env');
    const both = sandboxWith(['/:read', '/w:write', '/w/.git:read', '/w/src:read']);
    expect(outcome(plan(both, hosts.withoutBroker, allow))).toBe('refused read /w/src');
    const asked = sandboxWith(['/:read', '/w:write', rule('/w/.git:read', { protectedMetadata: false })]);
    expect(outcome(plan(asked, hosts.withoutBroker, allow))).toBe('refused read /w/.git');
  });

  it('gives up nothing where nothing has to be', () => {
    for (const sandbox of [readOnly, few])
      expect(plan(sandbox, hosts.withoutBroker, allow)).toMatchObject({ givenUp: [] });
    for (const host of [hosts.both, hosts.landlockOnly])
      expect(plan(workspace, host, allow)).toMatchObject({ givenUp: [] });
  });
});
