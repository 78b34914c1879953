import { mkdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { makePlaces } from '../../support/sandbox-fixture.ts';
import { type WireEntry, at, glob, projectRoots, root, special } from '../../support/sandbox-profiles.ts';
import { accessTo, refusalOf, resolved, ruleAt, rulesOf } from '../../support/sandbox-resolve.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';

const tmpdir = special({ kind: 'tmpdir' }, 'write');

describe('project_roots', () => {
  it('is the cwd', async () => {
    await using folder = await temporaryFolder();
    const { W } = await makePlaces(folder.path);
    for (const kind of ['project_roots', 'current_working_directory'] as const) {
      const sandbox = await resolved([special({ kind }, 'write')], { context: { cwd: W } });
      expect(ruleAt(sandbox, W)).toMatchObject({ access: 'write', source: 'entry 1 (project_roots write)' });
    }
  });

  it('is each of the workspace roots, and the cwd where there are none', async () => {
    await using folder = await temporaryFolder();
    const { W, OUT, SEC } = await makePlaces(folder.path);
    const workspaceRoots = [OUT, `file://${SEC}`];
    const several = await resolved([projectRoots('write')], { context: { cwd: W, workspaceRoots } });
    expect([W, OUT, SEC].map((place) => accessTo(several, `${place}/x`))).toEqual(['none', 'write', 'write']);
    const none = await resolved([projectRoots('write')], { context: { cwd: W, workspaceRoots: [] } });
    expect(accessTo(none, `${W}/x`)).toBe('write');
    const below = await resolved([projectRoots('read', 'pub')], { context: { cwd: W, workspaceRoots } });
    expect(accessTo(below, `${SEC}/pub/sp.txt`)).toBe('read');
  });

  it('has subpaths that stay below it', async () => {
    await using folder = await temporaryFolder();
    const { W } = await makePlaces(folder.path);
    const context = { cwd: W };
    for (const subpath of ['src', 'src/', './src', 'pub/../src', 'src//.'])
      expect(accessTo(await resolved([projectRoots('read', subpath)], { context }), `${W}/src`)).toBe('read');
    expect(accessTo(await resolved([projectRoots('read', '')], { context }), W)).toBe('read');
    for (const subpath of ['..', '../OUT', 'src/../../OUT', '/etc', `${W}/src`]) {
      const error = await refusalOf([root('read'), projectRoots('read', subpath)], { context });
      expect(error.code, subpath).toBe(-32602);
      expect(error.message).toContain(`entry 2 (project_roots ${subpath} read)`);
    }
  });
});

describe('a profile that depends on a working directory and has none', () => {
  const text = 'file system sandbox context with dynamic permissions requires cwd';

  it.each<[string, WireEntry]>([
    ['project_roots', projectRoots('write')],
    ['project_roots with a subpath', projectRoots('none', 'x')],
    ['the older name', special({ kind: 'current_working_directory' }, 'read')],
    ['a relative pattern that denies', glob('**/.env', 'none')],
    ['a relative pattern of another access', glob('**/.env', 'read')],
  ])('is refused for %s', async (_what, entry) => {
    const error = await refusalOf([root('read'), entry]);
    expect(error.code).toBe(-32602);
    expect(error.message).toContain(text);
    expect(error.message).toContain('entry 2');
  });

  it('is refused with the code that each generation of clients knows', async () => {
    const roots = [projectRoots('write')];
    expect(await refusalOf(roots, { form: 'plain' })).toMatchObject({ code: -32600 });
    expect(await refusalOf(roots, { form: 'uri' })).toMatchObject({ code: -32602 });
    expect(await refusalOf([at('/x', 'read'), ...roots], { form: 'uri' })).toMatchObject({ code: -32600 });
    expect(await refusalOf([at('file:///x', 'read'), ...roots], { form: 'plain' })).toMatchObject({
      code: -32602,
    });
    const context = { windowsSandboxPrivateDesktop: false };
    expect(await refusalOf(roots, { context })).toMatchObject({ code: -32600 });
  });

  it('is refused even where it could write everything', async () => {
    expect((await refusalOf([root('write'), projectRoots('write')])).message).toContain(text);
  });

  it.each<[string, WireEntry]>([
    ['the whole disk', root('read')],
    ['an absolute pattern', glob('/nowhere/*.env', 'none')],
    ['the temporary directory', tmpdir],
  ])('is none for %s', async (_what, entry) => {
    await expect(resolved([entry])).resolves.toBeDefined();
  });

  it('is none where the workspace roots say it all', async () => {
    await using folder = await temporaryFolder();
    const { W } = await makePlaces(folder.path);
    const sandbox = await resolved([projectRoots('write')], { context: { workspaceRoots: [W] } });
    expect(accessTo(sandbox, `${W}/x`)).toBe('write');
  });

  it('has no use for one that is not there', async () => {
    await using folder = await temporaryFolder();
    const { OUT, NEWDIR } = await makePlaces(folder.path);
    const sandbox = await resolved([root('read'), projectRoots('write')], { context: { cwd: NEWDIR } });
    expect(accessTo(sandbox, `${OUT}/o.txt`)).toBe('read');
    expect(sandbox.notes).toEqual([expect.stringContaining('entry 2 (project_roots write)')]);
  });
});

describe('tmpdir', () => {
  it('is what the context says, and the TMPDIR of the command where it says nothing', async () => {
    await using folder = await temporaryFolder();
    const { T, OUT, SEC } = await makePlaces(folder.path);
    expect(accessTo(await resolved([tmpdir], { tmpdir: T }), `${T}/x`)).toBe('write');
    const context = { temporaryDirectories: [OUT, `file://${SEC}`] };
    const named = await resolved([tmpdir], { tmpdir: T, context });
    expect([T, OUT, SEC].map((place) => accessTo(named, place))).toEqual(['none', 'write', 'write']);
    const empty = await resolved([tmpdir], { tmpdir: T, context: { temporaryDirectories: [] } });
    expect(accessTo(empty, T)).toBe('none');
  });

  it.each([undefined, '', '/no\0where'])('is nothing for TMPDIR %j', async (value) => {
    expect(rulesOf(await resolved([tmpdir], { tmpdir: value }))).toEqual([]);
  });

  it('starts from the cwd where it is relative, and means nothing without one', async () => {
    await using folder = await temporaryFolder();
    const { W, T } = await makePlaces(folder.path);
    const sandbox = await resolved([tmpdir], { tmpdir: '../T', context: { cwd: W } });
    expect(accessTo(sandbox, W)).toBe('none');
    const below = await resolved([tmpdir], { tmpdir: 'src/', context: { cwd: W } });
    expect(accessTo(below, `${W}/src/x`)).toBe('write');
    expect(rulesOf(await resolved([tmpdir], { tmpdir: 'src' }))).toEqual([]);
    expect(accessTo(sandbox, T)).toBe('none');
  });
});

it('slash_tmp is /tmp', async () => {
  const sandbox = await resolved([special({ kind: 'slash_tmp' }, 'write')]);
  expect(accessTo(sandbox, '/tmp/x')).toBe('write');
  expect(accessTo(sandbox, '/tmp/.git')).toBe('read');
});

describe('minimal', () => {
  const minimal = special({ kind: 'minimal' }, 'read');

  it('is what programs need to run, read-only whatever the entry says', async () => {
    for (const access of ['read', 'write'] as const) {
      const sandbox = await resolved([special({ kind: 'minimal' }, access)]);
      expect(sandbox.fileSystem).toMatchObject({ minimal: true });
      expect(['/usr/bin/env', '/etc/x', '/root', '/home'].map((path) => accessTo(sandbox, path))).toEqual([
        'read',
        'read',
        'none',
        'none',
      ]);
    }
  });

  it('is nothing where it is denied', async () => {
    const sandbox = await resolved([special({ kind: 'minimal' }, 'none')]);
    expect(sandbox.fileSystem).toMatchObject({ minimal: false, rules: [], denies: false });
  });

  it('can be asked for by the executor itself', async () => {
    expect(accessTo(await resolved([], { minimal: true }), '/usr/bin')).toBe('read');
  });

  it('neither narrows nor widens what entries say', async () => {
    await using folder = await temporaryFolder();
    const { SEC } = await makePlaces(folder.path);
    expect(accessTo(await resolved([root('write'), at(SEC, 'none'), minimal]), '/usr/bin')).toBe('write');
    expect(accessTo(await resolved([at('/usr', 'none'), minimal]), '/usr/bin/env')).toBe('none');
    expect(accessTo(await resolved([at('/usr/share', 'none'), minimal]), '/usr/share')).toBe('none');
    expect(accessTo(await resolved([root('none'), minimal]), '/usr/lib')).toBe('read');
  });
});

it('has no use for places and accesses that it does not know, and says so', async () => {
  const sandbox = await resolved([
    special({ kind: 'unknown', path: ':later', subpath: 'x' }, 'write'),
    glob('/etc/*.conf', 'read'),
    glob('/etc/*.conf', 'write'),
  ]);
  expect(rulesOf(sandbox)).toEqual([]);
  expect(sandbox.notes.map((note) => note.slice(0, 'entry 1'.length))).toEqual([
    'entry 1',
    'entry 2',
    'entry 3',
  ]);
});

it('takes a trailing slash for none', async () => {
  await using folder = await temporaryFolder();
  const { W } = await makePlaces(folder.path);
  await mkdir(`${W}/dir`);
  for (const path of [`${W}/dir/`, `file://${W}/dir/`])
    expect(accessTo(await resolved([at(path, 'read')]), `${W}/dir/x`)).toBe('read');
});
