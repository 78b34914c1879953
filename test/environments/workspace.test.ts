import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import {
  EnvironmentManager,
  type Workspace,
  type WorkspaceChange,
  localSource,
  staticProvider,
  variablesProvider,
} from '../../src/environments/environments.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { executorVariables } from '../support/conformance-targets.ts';

let folder = '';
const mark = randomUUID();
const local = { env: executorVariables(mark) };
let manager: EnvironmentManager;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-workspace-')));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await expectNothingLeft(mark);
});
beforeEach(async () => {
  const entry = (id: string) => ({ id, source: { ...localSource(local), kind: 'other' } });
  manager = await EnvironmentManager.create(staticProvider([entry('one'), entry('two')]), { local });
});
afterEach(() => manager[Symbol.asyncDispose]());

const readOnly = { type: 'readOnly', networkAccess: false };
const workspaceWrite = {
  type: 'workspaceWrite',
  writableRoots: [],
  networkAccess: false,
  excludeTmpdirEnvVar: false,
  excludeSlashTmp: false,
};
const here = (cwd?: string) => [{ environmentId: 'local', cwd }];

describe('what a workspace works in', () => {
  // The first settings, then those after each turn.
  test.each<[string, WorkspaceChange, (readonly [WorkspaceChange, unknown])[]]>([
    [
      'nothing said',
      {},
      [
        [{}, here()],
        [{ environments: null }, here()],
      ],
    ],
    ['null', { environments: null, cwd: '/a' }, [[{}, here('/a')]]],
    [
      'a cwd',
      { cwd: '/a' },
      [
        [{}, here('/a')],
        [{ cwd: 'b' }, here('/a/b')],
        [{ cwd: '../c' }, here('/a/c')],
      ],
    ],
    [
      'none stays none',
      { cwd: '/a', environments: [] },
      [
        [{}, []],
        [{ environments: null }, []],
        [{ sandbox: 'read-only' }, []],
        // A place alone selects the default one.
        [{ cwd: '/b' }, here('/b')],
        [{}, here('/b')],
      ],
    ],
    [
      'a selection stays',
      {
        cwd: '/a',
        environments: [
          { environmentId: 'two', cwd: '/x' },
          { environmentId: 'local', cwd: '/y' },
        ],
      },
      [
        [
          {},
          [
            { environmentId: 'two', cwd: '/x' },
            { environmentId: 'local', cwd: '/y' },
          ],
        ],
        [{ environments: [{ environmentId: 'one', cwd: '/z' }] }, [{ environmentId: 'one', cwd: '/z' }]],
        [{}, [{ environmentId: 'one', cwd: '/z' }]],
        [
          { cwd: '/q', environments: [{ environmentId: 'two', cwd: '/r' }] },
          [{ environmentId: 'two', cwd: '/r' }],
        ],
        [{ environments: [] }, []],
        [{}, []],
      ],
    ],
    [
      'roots and Windows',
      { environments: [{ environmentId: 'one', cwd: 'C:\\x', workspaceRoots: ['/r', 'D:/s'] }] },
      [[{}, [{ environmentId: 'one', cwd: 'C:\\x', workspaceRoots: ['/r', 'D:/s'] }]]],
    ],
  ])('%s', (_what, first, turns) => {
    const workspace = manager.workspaces.start(first);
    for (const [change, environments] of turns) {
      expect(workspace.turn(change).settings.environments).toEqual(environments);
      expect(workspace.settings.environments).toEqual(environments);
    }
  });

  test('the place of the workspace is not that of an environment', () => {
    const workspace = manager.workspaces.start({
      cwd: '/a',
      environments: [{ environmentId: 'one', cwd: '/x' }],
    });
    expect(workspace.settings.cwd).toBe('/a');
    expect(
      workspace.turn({ cwd: '/b', environments: [{ environmentId: 'one', cwd: '/y' }] }).settings,
    ).toMatchObject({
      cwd: '/b',
      environments: [{ environmentId: 'one', cwd: '/y' }],
    });
  });

  const refused: [WorkspaceChange, string][] = [
    [
      { environments: [{ environmentId: 'nope', cwd: '/' }] },
      'No environment has the id "nope". There are "local", "one", "two".',
    ],
    [
      {
        environments: [
          { environmentId: 'one', cwd: '/' },
          { environmentId: 'one', cwd: '/' },
        ],
      },
      'environments[1].environmentId: "one" is there twice; name it once',
    ],
    [
      { environments: [{ environmentId: 'one', cwd: 'rel' }] },
      'environments[0].cwd: must be an absolute path of the environment',
    ],
    [
      { environments: [{ environmentId: 'one', cwd: '/', workspaceRoots: ['/a', 'x'] }] },
      'environments[0].workspaceRoots[1]: must be an absolute path of the environment',
    ],
    [
      { sandbox: 'readOnly' },
      'sandbox: "readOnly" is no sandbox mode; write "read-only", "workspace-write", "danger-full-access".',
    ],
    [{ sandboxPolicy: { type: 'bogus' } }, 'sandboxPolicy: The sandbox policy is wrong: '],
    [{ sandboxPolicy: 'read-only' }, 'sandboxPolicy: The sandbox policy is wrong: '],
    [
      { sandboxPolicy: { type: 'workspaceWrite', writableRoots: ['rel'] } },
      'sandboxPolicy: The sandbox policy is wrong: writableRoots.0 must be an absolute path',
    ],
    [
      { sandboxPolicy: { type: 'readOnly', access: { type: 'restricted' } } },
      'sandboxPolicy: The sandbox policy is wrong: Unrecognized key: "access"',
    ],
    // The one that would lose is wrong.
    [{ sandbox: 'bogus', sandboxPolicy: readOnly }, 'sandbox: "bogus" is no sandbox mode'],
  ];

  test.each(refused)('%j is refused before there is a workspace', (change, message) => {
    expect(() => manager.workspaces.start({ id: 'x', ...change })).toThrow(message);
    expect(() => manager.workspaces.resume('x')).toThrow('no live workspace has the id "x"');
  });

  test.each(refused)('%j leaves a workspace as it is', (change, message) => {
    const workspace = manager.workspaces.start({ cwd: '/a', sandbox: 'read-only' });
    const before = workspace.settings;
    const other = { cwd: '/b', sandbox: 'workspace-write', environments: [] as never[] };
    expect(() => workspace.turn({ ...other, ...change })).toThrow(message);
    expect(() => workspace.update({ ...other, ...change })).toThrow(message);
    expect(workspace.settings).toBe(before);
  });

  test('a relative place needs one before it', () => {
    expect(() => manager.workspaces.start({ cwd: 'rel' })).toThrow('cwd: must be an absolute path');
  });

  test.each([
    ['none', [], undefined],
    ['', here(), 'local'],
  ])('with EXEC_SERVER_URL=%s', async (value, environments, id) => {
    const provider = variablesProvider({ variables: { EXEC_SERVER_URL: value } });
    await using other = await EnvironmentManager.create(provider, { local });
    const workspace = other.workspaces.start();
    expect(workspace.settings.environments).toEqual(environments);
    const turn = workspace.turn();
    if (id === undefined) {
      await expect(turn.start({ argv: ['/bin/true'] })).rejects.toThrow('No environment is selected.');
      expect(() => other.workspaces.start({ environments: here('/') })).toThrow(
        'No environment has the id "local". There are none.',
      );
    } else expect(turn.environment().id).toBe(id);
  });
});

describe('what a workspace may touch', () => {
  test.each<[string, WorkspaceChange, (readonly [WorkspaceChange, unknown])[]]>([
    ['nothing said', {}, [[{}, undefined]]],
    [
      'a mode',
      { sandbox: 'read-only' },
      [
        [{}, readOnly],
        [{ sandbox: 'workspace-write' }, workspaceWrite],
        [{}, workspaceWrite],
      ],
    ],
    [
      'a policy wins over a mode',
      { sandbox: 'read-only', sandboxPolicy: { type: 'dangerFullAccess' } },
      [
        [{}, { type: 'dangerFullAccess' }],
        [{ sandbox: 'danger-full-access', sandboxPolicy: { type: 'read-only' } }, readOnly],
        [
          { sandboxPolicy: { type: 'externalSandbox' } },
          { type: 'externalSandbox', networkAccess: 'restricted' },
        ],
        [
          { sandbox: null, sandboxPolicy: null },
          { type: 'externalSandbox', networkAccess: 'restricted' },
        ],
      ],
    ],
    [
      'a policy of configurations',
      { sandboxPolicy: { type: 'workspace-write', writable_roots: ['/x/../y'], network_access: true } },
      [[{}, { ...workspaceWrite, writableRoots: ['/y'], networkAccess: true }]],
    ],
  ])('%s', (_what, first, turns) => {
    const workspace = manager.workspaces.start(first);
    for (const [change, policy] of turns) {
      expect(workspace.turn(change).settings.sandbox).toEqual(policy);
      expect(workspace.settings.sandbox).toEqual(policy);
    }
  });

  test('holds for programs and files of its turns, each with what it began with', async () => {
    const at = path.join(folder, randomUUID());
    await manager.get('local').files.createDirectory(at);
    const workspace = manager.workspaces.start({ cwd: at, sandbox: 'workspace-write' });
    const writing = workspace.turn();
    const reading = workspace.turn({ sandbox: 'read-only' });
    const touch = async (turn: typeof writing, name: string): Promise<number> =>
      (await (await turn.start({ argv: ['/usr/bin/touch', name] })).exited).exitCode;
    expect(await touch(reading, 'no')).not.toBe(0);
    expect(await touch(writing, 'yes')).toBe(0);
    await writing.files().writeFile(path.join(at, 'written'), 'text');
    expect(await readFile(path.join(at, 'written'), 'utf8')).toBe('text');
    await expect(reading.files().writeFile(path.join(at, 'refused'), 'text')).rejects.toMatchObject({
      name: 'RpcError',
    });
    await expect(
      writing.files().writeFile(path.join(homedir(), `outside-${randomUUID()}`), 'text'),
    ).rejects.toMatchObject({
      name: 'RpcError',
    });
    expect(Buffer.from(await reading.files().readFile(path.join(at, 'written'))).toString()).toBe('text');
    expect((await reading.files().glob({ path: at, patterns: ['*'] })).paths).toHaveLength(2);
    const full = workspace.turn({ sandboxPolicy: { type: 'dangerFullAccess' } });
    expect(await touch(full, 'all')).toBe(0);
  });

  test('a program of a turn starts in the selected environment, below its place', async () => {
    await writeFile(path.join(folder, 'marker'), '');
    const workspace = manager.workspaces.start({ environments: [{ environmentId: 'two', cwd: folder }] });
    const turn = workspace.turn();
    const child = await turn.start({ argv: ['/bin/ls'], cwd: '.' });
    expect((await child.stdout.collect()).toString()).toContain('marker');
    expect((await manager.health()).map(({ id, status }) => `${id} ${status}`)).toEqual([
      'local idle',
      'one idle',
      'two ready',
    ]);
    await expect(turn.start({ argv: ['/bin/true'], environmentId: 'local' })).rejects.toThrow(
      'Environment "local" is not selected.',
    );
    await manager.remove('two');
    await expect(turn.start({ argv: ['/bin/true'] })).rejects.toMatchObject({
      code: 'unknown',
      environmentId: 'two',
    });
    expect((await manager.get('local').health()).status).toBe('idle');
  });
});

describe('resuming', () => {
  test('one that is live gives the same object, whatever its state says', () => {
    const workspace = manager.workspaces.start({ id: 'thread', cwd: '/a' });
    const { state } = workspace;
    workspace.update({ environments: [] });
    expect(manager.workspaces.resume('thread')).toBe(workspace);
    expect(manager.workspaces.resume(state)).toBe(workspace);
    expect(workspace.settings.environments).toEqual([]);
    expect(() => manager.workspaces.start({ id: 'thread' })).toThrow(
      'id: workspace "thread" is live; resume it',
    );
  });

  test.each<[string, WorkspaceChange]>([
    [
      'a selection',
      { environments: [{ environmentId: 'two', cwd: '/x', workspaceRoots: ['/y'] }], sandbox: 'read-only' },
    ],
    ['none', { environments: [], cwd: '/a' }],
    ['the default', {}],
  ])('one with %s comes back from its state', (_what, change) => {
    const before: Workspace = manager.workspaces.start(change);
    const state = JSON.parse(JSON.stringify(before.state)) as typeof before.state;
    before.close();
    const after = manager.workspaces.resume(state);
    expect(after).not.toBe(before);
    expect(JSON.parse(JSON.stringify(after.state))).toEqual(state);
    expect(manager.workspaces.resume(before.id)).toBe(after);
  });

  test('one whose environment is gone is refused', () => {
    const workspace = manager.workspaces.start({ environments: [{ environmentId: 'two' }] });
    const { state } = workspace;
    workspace.close();
    expect(() => manager.workspaces.resume({ ...state, environments: [{ environmentId: 'three' }] })).toThrow(
      'No environment has the id "three".',
    );
    expect(() => manager.workspaces.resume(workspace.id)).toThrow('no live workspace has the id');
  });
});
