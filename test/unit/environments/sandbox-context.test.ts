import { expect, test } from 'vitest';

import { sandboxContext } from '../../../src/environments/sandbox-context.ts';
import {
  type SandboxPolicy,
  checkedSetting,
  sandboxModes,
} from '../../../src/environments/sandbox-setting.ts';
import { toFileUri } from '../../../src/protocol/path.ts';
import { SandboxContextParam } from '../../../src/protocol/sandbox.ts';
import { profileOfPolicy } from '../../../src/sandbox/legacy-policy.ts';

const policies: readonly SandboxPolicy[] = [
  { type: 'readOnly' },
  { type: 'readOnly', networkAccess: true },
  { type: 'workspaceWrite' },
  {
    type: 'workspaceWrite',
    writableRoots: ['/srv/a', '/srv/b c'],
    networkAccess: true,
    excludeSlashTmp: true,
    excludeTmpdirEnvVar: true,
  },
  { type: 'externalSandbox' },
  { type: 'externalSandbox', networkAccess: 'enabled' },
];

test.each(policies)('%j is told to an executor as the executor itself understands it', (policy) => {
  const context = sandboxContext(policy, { cwd: '/work', path: (path) => path });
  const read = SandboxContextParam.parse(JSON.parse(JSON.stringify(context)));
  expect(read.permissions).toEqual(profileOfPolicy(policy));
  expect(read.cwd?.bytes.toString()).toBe('/work');
  expect(read.workspaceRoots).toBeUndefined();
});

test('paths are in the form of the executor', () => {
  const policy: SandboxPolicy = { type: 'workspaceWrite', writableRoots: ['/a b'] };
  const context = sandboxContext(policy, { cwd: '/w', workspaceRoots: ['/w', '/x'], path: toFileUri });
  expect(context).toMatchObject({ cwd: 'file:///w', workspaceRoots: ['file:///w', 'file:///x'] });
  expect(JSON.stringify(context)).toContain('file:///a%20b');
});

test('full access is no sandbox', () => {
  expect(sandboxContext({ type: 'dangerFullAccess' }, { cwd: '/', path: (path) => path })).toBeUndefined();
});

test.each(sandboxModes)('the mode %s is a policy in full', (mode) => {
  const policy = checkedSetting(mode);
  expect(checkedSetting(policy)).toEqual(policy);
  expect(checkedSetting({ type: mode })).toEqual(policy);
});
