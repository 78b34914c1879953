import { describe, expect, it } from 'vitest';
import type { HostFacts } from '../../../src/sandbox/host.ts';
import { reportProfiles } from '../../../src/sandbox/report.ts';

const no = { usable: false, problem: 'it is not there', fix: 'install it' } as const;
const launcher = { usable: true, path: '/launcher' } as const;
const bubblewrap = { usable: true, path: '/bwrap', ownProc: true } as const;
const landlock = { usable: true, abi: 7, broker: true } as const;
const enforced = (enforcer: string, ...givenUp: string[]) => ({ enforced: true, enforcer, givenUp });

function report(host: Partial<HostFacts>, ...allowed: 'protected-metadata'[]) {
  return reportProfiles({ launcher, bubblewrap: no, landlock: no, ...host }, allowed);
}

describe('a host', () => {
  it('with bubblewrap enforces everything', () => {
    for (const host of [
      { bubblewrap, landlock },
      { bubblewrap: { ...bubblewrap, ownProc: false }, landlock },
    ]) {
      expect(report(host)).toEqual({
        network: enforced('seccomp'),
        readOnly: enforced('bubblewrap'),
        workspaceWrite: enforced('bubblewrap'),
        restrictedRead: enforced('bubblewrap'),
        denial: enforced('bubblewrap'),
      });
    }
  });

  it('with Landlock and a broker enforces everything but denials', () => {
    expect(report({ landlock })).toEqual({
      network: enforced('seccomp'),
      readOnly: enforced('landlock'),
      workspaceWrite: enforced('landlock'),
      restrictedRead: enforced('landlock'),
      denial: {
        enforced: false,
        problem: expect.stringContaining('a denial below the workspace') as string,
        fix: 'install it',
      },
    });
  });

  it('without a broker protects metadata only where that was not given up', () => {
    const host = { landlock: { ...landlock, broker: false } };
    expect(report(host)).toMatchObject({
      readOnly: enforced('landlock'),
      workspaceWrite: {
        enforced: false,
        fix: 'install it, or start the executor with --allow-weaker protected-metadata',
      },
    });
    expect(report(host, 'protected-metadata')).toMatchObject({
      readOnly: enforced('landlock'),
      workspaceWrite: enforced('landlock', 'protected-metadata'),
      restrictedRead: enforced('landlock', 'protected-metadata'),
      denial: { enforced: false },
    });
  });

  it('gives nothing up where it can enforce it', () => {
    expect(report({ landlock, bubblewrap }, 'protected-metadata')).toEqual(report({ landlock, bubblewrap }));
    expect(report({ landlock }, 'protected-metadata')).toEqual(report({ landlock }));
  });

  it('without both cuts the network only', () => {
    const { network, ...others } = report({});
    expect(network).toEqual(enforced('seccomp'));
    for (const profile of Object.values(others)) {
      expect(profile).toMatchObject({ enforced: false, fix: 'install it' });
    }
  });

  it('without the launcher enforces nothing', () => {
    for (const profile of Object.values(report({ launcher: no, bubblewrap: no, landlock }))) {
      expect(profile).toMatchObject({
        enforced: false,
        problem: expect.stringContaining('not there') as string,
      });
    }
  });
});
