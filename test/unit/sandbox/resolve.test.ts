import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { SandboxContextParam } from '../../../src/protocol/sandbox.ts';
import { resolveSandbox } from '../../../src/sandbox/resolve.ts';
import {
  canReadEverything,
  canWriteEverything,
  decide,
  readableRoots,
  unreadableRoots,
  writableRoots,
} from '../../../src/sandbox/verdict.ts';
import { type Places, makePlaces } from '../../support/sandbox-fixture.ts';
import { type WireAccess, at, glob, projectRoots, root, special } from '../../support/sandbox-profiles.ts';
import { accessTo, refusalOf, resolved, ruleAt, rulesOf } from '../../support/sandbox-resolve.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';

async function arena(): Promise<Places & AsyncDisposable> {
  const folder = await temporaryFolder();
  const places = await makePlaces(folder.path);
  return { ...places, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

describe('profiles without entries', () => {
  it.each([
    [{ type: 'disabled' }, 'enabled'],
    [{ type: 'external', network: 'restricted' }, 'restricted'],
    [{ type: 'external', network: 'enabled' }, 'enabled'],
    [{ type: 'managed', network: 'restricted', file_system: { type: 'unrestricted' } }, 'restricted'],
  ] as const)('%j leaves the files alone', async (permissions, network) => {
    const sandbox = await resolveSandbox(SandboxContextParam.parse({ permissions }), { tmpdir: undefined });
    expect(sandbox).toEqual({ network, fileSystem: { kind: 'unrestricted' }, notes: [] });
    expect(decide(sandbox, Buffer.from('/x'))).toEqual({ access: 'write', rule: undefined });
    expect(canReadEverything(sandbox)).toBe(true);
  });

  it('grants nothing where the list is empty, but the devices that every program counts on', async () => {
    const sandbox = await resolved([]);
    expect(accessTo(sandbox, '/')).toBe('none');
    expect(accessTo(sandbox, '/usr/bin')).toBe('none');
    expect(accessTo(sandbox, '/dev/null')).toBe('write');
    expect(accessTo(await resolved([at('/dev/null', 'none')]), '/dev/null')).toBe('none');
  });
});

describe('a rule', () => {
  it('says where it is, what is there and what it comes from', async () => {
    await using places = await arena();
    const sandbox = await resolved([
      root('read'),
      at(`${places.LINK}/src`, 'write'),
      at(`${places.W}/f.txt`, 'none'),
    ]);
    expect(ruleAt(sandbox, `${places.W}/src`)).toMatchObject({
      access: 'write',
      kind: 'directory',
      source: 'entry 2 (path write)',
      identity: expect.stringMatching(/^\d+:\d+$/) as string,
      aliases: [Buffer.from(`${places.LINK}/src`)],
      protectedMetadata: false,
    });
    expect(ruleAt(sandbox, `${places.W}/f.txt`)).toMatchObject({
      kind: 'file',
      source: 'entry 3 (path none)',
      aliases: [],
    });
    expect(decide(sandbox, Buffer.from(`${places.W}/src/a.c`)).rule?.source).toBe('entry 2 (path write)');
    expect(decide(sandbox, Buffer.from(`${places.W}/pub`)).rule?.source).toBe('entry 1 (root read)');
  });

  it('stands before what is in it', async () => {
    await using places = await arena();
    const sandbox = await resolved([at(`${places.W}/src/deep`, 'read'), at(places.W, 'write'), root('read')]);
    const paths = rulesOf(sandbox).map(({ path }) => path.toString());
    expect(paths.indexOf('/')).toBe(0);
    expect(paths.indexOf(places.W)).toBeLessThan(paths.indexOf(`${places.W}/src/deep`));
  });

  it('keeps a name that is no UTF-8', async () => {
    await using places = await arena();
    const name = Buffer.concat([Buffer.from(`${places.W}/`), Buffer.from([0xff, 0x2d])]);
    await mkdir(name);
    const sandbox = await resolved([at(`file://${places.W}/%FF-`, 'read')]);
    expect(decide(sandbox, Buffer.concat([name, Buffer.from('/x')])).access).toBe('read');
    expect(accessTo(sandbox, `${places.W}/f.txt`)).toBe('none');
  });

  it('is about whole names only', async () => {
    await using places = await arena();
    await mkdir(`${places.PARENT}/W2`);
    const sandbox = await resolved([at(places.W, 'read')]);
    expect(accessTo(sandbox, `${places.PARENT}/W2`)).toBe('none');
  });
});

describe('several entries for one path', () => {
  const cases: [WireAccess[], string][] = [
    [['write', 'none'], 'none'],
    [['none', 'write'], 'none'],
    [['write', 'deny'], 'none'],
    [['read', 'write'], 'write'],
    [['write', 'read'], 'write'],
    [['none', 'read'], 'none'],
    [['read', 'write', 'none'], 'none'],
  ];

  it.each(cases)('%j come to %s', async (accesses, expected) => {
    await using places = await arena();
    expect(accessTo(await resolved(accesses.map((access) => at(places.W, access))), places.W)).toBe(expected);
    const linked = accesses.map((access, index) => at(index === 0 ? places.LINK : places.W, access));
    expect(accessTo(await resolved(linked), `${places.W}/x`)).toBe(expected);
  });

  it('come to the same for the whole disk', async () => {
    expect(accessTo(await resolved([root('none'), root('read')]), '/usr')).toBe('none');
    expect(canWriteEverything(await resolved([root('read'), root('write')]))).toBe(true);
  });
});

describe('a profile that writes to the whole disk', () => {
  it('needs no sandbox where nothing narrows it', async () => {
    await using places = await arena();
    const skipped = { ...at(`${places.W}/gone`, 'read'), missing_path_behavior: 'skip' as const };
    for (const more of [
      [],
      [special({ kind: 'minimal' }, 'read')],
      [special({ kind: 'unknown', path: ':x' }, 'none')],
      [root('read')],
      [at(places.W, 'write'), at(places.W, 'read')],
      [glob('/x/*', 'read')],
      [skipped],
    ])
      expect(canWriteEverything(await resolved([root('write'), ...more])), JSON.stringify(more)).toBe(true);
  });

  it('needs one where something does, be it there or not', async () => {
    await using places = await arena();
    for (const more of [
      at(places.W, 'read'),
      at(places.W, 'none'),
      at(`${places.W}/gone/x`, 'none'),
      at(`${places.W}/gone/x`, 'read'),
      glob(`${places.W}/*.key`, 'none'),
    ])
      expect(canWriteEverything(await resolved([root('write'), more])), JSON.stringify(more)).toBe(false);
  });

  it('is only that by the entry that says so: a path that is the root keeps its metadata', async () => {
    const sandbox = await resolved([at('/', 'write')]);
    expect(canWriteEverything(sandbox)).toBe(false);
    expect(accessTo(sandbox, '/.git/config')).toBe('read');
    expect(accessTo(sandbox, '/var')).toBe('write');
    const workspace = await resolved([projectRoots('write')], { context: { cwd: '/' } });
    expect(canWriteEverything(workspace)).toBe(false);
  });
});

describe('the roots of a profile', () => {
  it('are those that count at their own path', async () => {
    await using places = await arena();
    const { fileSystem } = await resolved([
      root('read'),
      at(places.W, 'write'),
      at(places.OUT, 'write'),
      at(places.OUT, 'none'),
      at(places.SEC, 'none'),
      at(`${places.SEC}/pub`, 'read'),
    ]);
    if (fileSystem.kind !== 'restricted') throw new Error('It is restricted.');
    const paths = (rules: readonly { path: Buffer }[]) => rules.map(({ path }) => path.toString());
    expect(paths(writableRoots(fileSystem))).toEqual([places.W]);
    expect(paths(unreadableRoots(fileSystem))).toEqual([places.OUT, places.SEC]);
    expect(paths(readableRoots(fileSystem))).toEqual(
      expect.arrayContaining(['/', places.W, `${places.SEC}/pub`]),
    );
  });

  it('are all of the disk for reading where nothing is denied', async () => {
    await using places = await arena();
    expect(canReadEverything(await resolved([root('read'), at(places.W, 'write')]))).toBe(true);
    expect(canReadEverything(await resolved([at(places.W, 'write')]))).toBe(false);
    expect(canReadEverything(await resolved([root('read'), at(`${places.W}/gone`, 'none')]))).toBe(false);
    expect(canReadEverything(await resolved([root('read'), glob(`${places.W}/*.nothing`, 'none')]))).toBe(
      false,
    );
  });
});

describe('what is not there', () => {
  it('is not granted, and the entry is named', async () => {
    await using places = await arena();
    const sandbox = await resolved([root('read'), at(places.NEWDIR, 'write'), at('/nowhere/x', 'read')]);
    expect(accessTo(sandbox, places.NEWDIR)).toBe('read');
    expect(sandbox.notes).toEqual([
      expect.stringContaining('entry 2 (path write)'),
      expect.stringContaining('entry 3 (path read)'),
    ]);
  });

  it('is kept from coming to be where the surroundings are writable', async () => {
    await using places = await arena();
    for (const access of ['read', 'none'] as const) {
      const sandbox = await resolved([at(places.W, 'write'), at(`${places.W}/gen/a/b`, access)]);
      expect(ruleAt(sandbox, `${places.W}/gen/a/b`)).toMatchObject({
        kind: 'missing',
        firstMissing: Buffer.from(`${places.W}/gen`),
        place: Buffer.from(`${places.W}/gen`),
        identity: undefined,
      });
      for (const name of ['gen', 'gen/a', 'gen/a/b', 'gen/other'])
        expect(accessTo(sandbox, `${places.W}/${name}`)).toBe(access);
      expect(accessTo(sandbox, `${places.W}/gene`)).toBe('write');
    }
  });

  it('stays denied where it is readable around', async () => {
    await using places = await arena();
    const sandbox = await resolved([root('read'), at(`${places.OUT}/new/x`, 'none')]);
    expect(accessTo(sandbox, `${places.OUT}/new/x`)).toBe('none');
    expect(accessTo(sandbox, `${places.OUT}/new`)).toBe('read');
  });

  it('does not count where the entry says so', async () => {
    await using places = await arena();
    const skip = { ...at(`${places.W}/gen`, 'none'), missing_path_behavior: 'skip' as const };
    expect(accessTo(await resolved([at(places.W, 'write'), skip]), `${places.W}/gen`)).toBe('write');
  });

  it('is refused behind a file that could be replaced', async () => {
    await using places = await arena();
    const error = await refusalOf([at(places.W, 'write'), at(`${places.W}/f.txt/x`, 'none')]);
    expect(error.message).toContain('entry 2 (path none)');
    expect(error.message).toContain(`${places.W}/f.txt is a file`);
    await expect(resolved([root('read'), at(`${places.W}/f.txt/x`, 'none')])).resolves.toBeDefined();
  });
});

describe('links', () => {
  it('are followed before entries are compared', async () => {
    await using places = await arena();
    const sandbox = await resolved([root('read'), at(places.LINK, 'write'), at(`${places.W}/src`, 'none')]);
    expect(accessTo(sandbox, `${places.W}/src/a.c`)).toBe('none');
    expect(accessTo(sandbox, `${places.W}/f.txt`)).toBe('write');
  });

  it('lead on to what does not exist', async () => {
    await using places = await arena();
    await symlink('OUT/new', `${places.PARENT}/dangling`);
    const sandbox = await resolved([root('read'), at(`${places.PARENT}/dangling/x`, 'none')]);
    expect(ruleAt(sandbox, `${places.OUT}/new/x`)).toMatchObject({
      firstMissing: Buffer.from(`${places.OUT}/new`),
    });
  });

  it.each(['read', 'write', 'none'] as const)(
    'are refused for %s where the profile lets them be replaced',
    async (access) => {
      await using places = await arena();
      const error = await refusalOf([root('read'), at(places.W, 'write'), at(`${places.W}/lout/in`, access)]);
      expect(error.code).toBe(-32600);
      expect(error.message).toContain(`entry 3 (path ${access})`);
      expect(error.message).toContain(`${places.W}/lout`);
      expect(error.data).toMatchObject({ sandbox: { refused: true, rule: `entry 3 (path ${access})` } });
    },
  );

  it('are accepted where nobody in the sandbox can replace them', async () => {
    await using places = await arena();
    const sandbox = await resolved([
      root('read'),
      at(`${places.W}/src`, 'write'),
      at(`${places.W}/lout`, 'write'),
    ]);
    expect(accessTo(sandbox, `${places.OUT}/x`)).toBe('write');
  });

  it('that lead in a circle are refused', async () => {
    await using places = await arena();
    await symlink('b', `${places.PARENT}/a`);
    await symlink('a', `${places.PARENT}/b`);
    expect((await refusalOf([at(`${places.PARENT}/a`, 'read')])).message).toContain('too many links');
  });

  it('must not lead a subpath out of its root', async () => {
    await using places = await arena();
    const context = { cwd: places.W };
    for (const access of ['read', 'write'] as const) {
      const error = await refusalOf([projectRoots(access, 'lout/in')], { context });
      expect(error.message).toContain('leaves its root through a link');
    }
    const sandbox = await resolved([root('read'), projectRoots('none', 'lout/in')], { context });
    expect(accessTo(sandbox, `${places.OUT}/in/i.txt`)).toBe('none');
    expect(accessTo(await resolved([projectRoots('read', 'lsrc')], { context }), `${places.W}/src`)).toBe(
      'read',
    );
  });
});

it('refuses an enforcer that is not there, where something is to be enforced', async () => {
  const context = { useLegacyLandlock: true };
  expect((await refusalOf([root('read')], { context })).message).toContain('useLegacyLandlock');
  expect(canWriteEverything(await resolved([root('write')], { context }))).toBe(true);
});

it('sees a tree as it is at the moment', async () => {
  await using places = await arena();
  const entries = [root('read'), at(places.NEWDIR, 'write')];
  expect(accessTo(await resolved(entries), places.NEWDIR)).toBe('read');
  await mkdir(places.NEWDIR);
  expect(accessTo(await resolved(entries), places.NEWDIR)).toBe('write');
  await rm(places.NEWDIR, { recursive: true });
});

describe('a placeholder of another run', () => {
  it('stands for what is missing, and for everything below it', async () => {
    await using places = await arena();
    await mkdir(`${places.W}/gen`);
    await chmod(`${places.W}/gen`, 0o1755);
    const entries = [at(places.W, 'write'), at(`${places.W}/gen`, 'read'), at(`${places.W}/gen/a/b`, 'none')];
    const sandbox = await resolved(entries);
    for (const name of ['gen', 'gen/a/b'])
      expect(ruleAt(sandbox, `${places.W}/${name}`)).toMatchObject({
        kind: 'missing',
        firstMissing: Buffer.from(`${places.W}/gen`),
      });
    await writeFile(`${places.W}/gen/x`, '');
    expect(ruleAt(await resolved(entries), `${places.W}/gen`)).toMatchObject({ kind: 'directory' });
  });
});
