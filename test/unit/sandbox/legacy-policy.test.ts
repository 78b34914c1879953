import { describe, expect, it } from 'vitest';
import { PermissionProfileParam } from '../../../src/protocol/permission-profile.ts';
import { profileOfPolicy } from '../../../src/sandbox/legacy-policy.ts';
import {
  type WireEntry,
  at,
  projectRoots,
  restricted,
  root,
  special,
} from '../../support/sandbox-profiles.ts';

const skipped = (name: string): WireEntry => ({
  ...projectRoots('read', name),
  missing_path_behavior: 'skip',
});
const metadata = ['.git', '.agents', '.codex', '.aws'].map(skipped);
const slashTmp = special({ kind: 'slash_tmp' }, 'write');
const tmpdir = special({ kind: 'tmpdir' }, 'write');

const workspace = (...middle: WireEntry[]) =>
  restricted([root('read'), projectRoots('write'), ...middle, ...metadata]);

describe('a policy of an older form', () => {
  it.each<[unknown, unknown]>([
    [{ type: 'danger-full-access' }, { type: 'disabled' }],
    [{ type: 'external-sandbox' }, { type: 'external', network: 'restricted' }],
    [
      { type: 'external-sandbox', network_access: 'enabled' },
      { type: 'external', network: 'enabled' },
    ],
    [{ type: 'read-only' }, restricted([root('read')])],
    [{ type: 'read-only', network_access: true }, restricted([root('read')], { network: 'enabled' })],
    [{ type: 'workspace-write' }, workspace(slashTmp, tmpdir)],
    [
      { type: 'workspace-write', writable_roots: ['/a', 'file:///b'], exclude_slash_tmp: true },
      workspace(tmpdir, at('/a', 'write'), at('file:///b', 'write')),
    ],
    [
      {
        type: 'workspace-write',
        exclude_tmpdir_env_var: true,
        exclude_slash_tmp: true,
        network_access: true,
      },
      { ...workspace(), network: 'enabled' },
    ],
    [{ type: 'dangerFullAccess' }, { type: 'disabled' }],
    [{ type: 'externalSandbox' }, { type: 'external', network: 'restricted' }],
    [
      { type: 'externalSandbox', networkAccess: 'enabled' },
      { type: 'external', network: 'enabled' },
    ],
    [{ type: 'readOnly', networkAccess: true }, restricted([root('read')], { network: 'enabled' })],
    [{ type: 'workspaceWrite', excludeTmpdirEnvVar: true }, workspace(slashTmp)],
    [
      { type: 'workspaceWrite', writableRoots: ['/a'], excludeSlashTmp: true },
      workspace(tmpdir, at('/a', 'write')),
    ],
  ])('%j is a profile', (policy, profile) => {
    expect(profileOfPolicy(policy)).toEqual(PermissionProfileParam.parse(profile));
  });

  it.each<[unknown, RegExp]>([
    [undefined, /dangerFullAccess, readOnly/],
    ['read-only', /dangerFullAccess, readOnly/],
    [{ type: 'readonly' }, /type: .*dangerFullAccess/],
    [{}, /dangerFullAccess, readOnly/],
    [{ type: 'read-only', networkAccess: true }, /networkAccess/],
    [{ type: 'readOnly', network_access: true }, /network_access/],
    [{ type: 'read-only', access: { type: 'restricted' } }, /access/],
    [{ type: 'workspace-write', read_only_access: {} }, /read_only_access/],
    [{ type: 'workspace-write', writable_roots: ['a'] }, /writable_roots\.0: .*absolute/],
    [{ type: 'workspaceWrite', networkAccess: 'enabled' }, /networkAccess/],
    [{ type: 'external-sandbox', network_access: true }, /network_access/],
  ])('%j is refused with what is wrong', (policy, text) => {
    expect(() => profileOfPolicy(policy)).toThrowError(expect.objectContaining({ code: -32602 }) as Error);
    expect(() => profileOfPolicy(policy)).toThrow(text);
  });
});
