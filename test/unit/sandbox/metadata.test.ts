import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { protectedNames } from '../../../src/sandbox/metadata.ts';
import { decide } from '../../../src/sandbox/verdict.ts';
import { type Places, makePlaces } from '../../support/sandbox-fixture.ts';
import { at, projectRoots, root, special } from '../../support/sandbox-profiles.ts';
import { accessTo, refusalOf, resolved, ruleAt } from '../../support/sandbox-resolve.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';

async function arena(): Promise<Places & AsyncDisposable> {
  const folder = await temporaryFolder();
  const places = await makePlaces(folder.path);
  return { ...places, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

describe('metadata directly below a writable root', () => {
  it.each(protectedNames)('is read-only, there or not: %s', async (name) => {
    await using places = await arena();
    const sandbox = await resolved([root('read'), at(places.W, 'write')]);
    expect(accessTo(sandbox, `${places.W}/${name}/x`)).toBe('read');
    expect(decide(sandbox, Buffer.from(`${places.W}/${name}`)).rule).toMatchObject({
      protectedMetadata: true,
      source: `protected metadata ${places.W}/${name}`,
      kind: name === '.git' ? 'directory' : 'missing',
    });
    expect(accessTo(sandbox, `${places.W}/src/${name}`)).toBe('write');
    expect(accessTo(sandbox, `${places.W}/${name}x`)).toBe('write');
  });

  it('is that of every root: the workspace, temporary directories, others, and roots in roots', async () => {
    await using places = await arena();
    const sandbox = await resolved(
      [
        root('read'),
        projectRoots('write'),
        special({ kind: 'tmpdir' }, 'write'),
        special({ kind: 'slash_tmp' }, 'write'),
        at(places.OUT, 'write'),
        at(`${places.W}/src`, 'write'),
      ],
      { tmpdir: places.T, context: { cwd: places.W } },
    );
    for (const folder of [places.W, places.T, '/tmp', places.OUT, `${places.W}/src`])
      expect(accessTo(sandbox, `${folder}/.codex`), folder).toBe('read');
    expect(accessTo(sandbox, `${places.W}/src/deep/.codex`)).toBe('write');
  });

  it('is that of a root in something that is narrower', async () => {
    await using places = await arena();
    const sandbox = await resolved([
      at(places.W, 'write'),
      at(`${places.W}/src`, 'none'),
      at(`${places.W}/src/deep`, 'write'),
    ]);
    expect(accessTo(sandbox, `${places.W}/src/deep/.git/x`)).toBe('read');
    expect(accessTo(sandbox, `${places.W}/src/.git`)).toBe('none');
  });

  it('is not there for a root that is a file', async () => {
    await using places = await arena();
    const sandbox = await resolved([root('read'), at(`${places.W}/f.txt`, 'write')]);
    expect(accessTo(sandbox, `${places.W}/f.txt`)).toBe('write');
    expect(ruleAt(sandbox, `${places.W}/f.txt/.git`)).toBeUndefined();
  });

  it('is not made readable', async () => {
    await using places = await arena();
    const sandbox = await resolved([at(places.W, 'read')]);
    expect(ruleAt(sandbox, `${places.W}/.git`)).toBeUndefined();
  });
});

describe('an entry for a name', () => {
  it('of write lifts the protection of that name alone, there or not', async () => {
    await using places = await arena();
    for (const name of ['.git', '.codex']) {
      const sandbox = await resolved([
        root('read'),
        at(places.W, 'write'),
        at(`${places.W}/${name}`, 'write'),
      ]);
      expect(accessTo(sandbox, `${places.W}/${name}/x`)).toBe('write');
      expect(accessTo(sandbox, `${places.W}/.agents`)).toBe('read');
    }
    const linked = await resolved([root('read'), at(places.W, 'write'), at(`${places.LINK}/.git`, 'write')]);
    expect(accessTo(linked, `${places.W}/.git/config`)).toBe('write');
  });

  it('of read is the same as the protection, and says so', async () => {
    await using places = await arena();
    for (const name of ['.git', '.agents']) {
      const sandbox = await resolved([at(places.W, 'write'), at(`${places.W}/${name}`, 'read')]);
      expect(ruleAt(sandbox, `${places.W}/${name}`)).toMatchObject({
        access: 'read',
        source: 'entry 2 (path read)',
        protectedMetadata: true,
      });
    }
  });

  it('of none denies it', async () => {
    await using places = await arena();
    const sandbox = await resolved([at(places.W, 'write'), at(`${places.W}/.git`, 'none')]);
    expect(ruleAt(sandbox, `${places.W}/.git`)).toMatchObject({ access: 'none', protectedMetadata: false });
  });

  it('of write that loses to a denial lifts nothing', async () => {
    await using places = await arena();
    const git = `${places.W}/.codex`;
    const sandbox = await resolved([at(places.W, 'write'), at(git, 'write'), at(git, 'none')]);
    expect(accessTo(sandbox, git)).toBe('none');
  });

  it('below it grants what is there, and lifts nothing', async () => {
    await using places = await arena();
    await mkdir(`${places.W}/.git/hooks`);
    const sandbox = await resolved([
      at(places.W, 'write'),
      at(`${places.W}/.git/hooks`, 'write'),
      at(`${places.W}/.codex/skills`, 'write'),
    ]);
    expect(accessTo(sandbox, `${places.W}/.git/hooks/h`)).toBe('write');
    expect(accessTo(sandbox, `${places.W}/.git/config`)).toBe('read');
    expect(accessTo(sandbox, `${places.W}/.codex/skills/x`)).toBe('read');
  });
});

describe('a name that is a link', () => {
  it.each([
    ['to a directory', '../OUT'],
    ['to nothing', 'nowhere'],
    ['that stays inside', 'src'],
  ])('is refused: %s', async (_what, target) => {
    await using places = await arena();
    await symlink(target, `${places.W}/.codex`);
    const error = await refusalOf([root('read'), at(places.W, 'write')]);
    expect(error.code).toBe(-32600);
    expect(error.message).toContain(`${places.W}/.codex is a symbolic link`);
    expect(error.data).toMatchObject({ sandbox: { rule: `protected metadata ${places.W}/.codex` } });
    const lifted = await refusalOf([root('read'), at(places.W, 'write'), at(`${places.W}/.codex`, 'write')]);
    expect(lifted.message).toContain(`${places.W}/.codex`);
    await expect(resolved([root('read')])).resolves.toBeDefined();
  });
});

describe('a .git file', () => {
  async function withGitFile(places: Places, content: string): Promise<void> {
    await rm(`${places.W}/.git`, { recursive: true });
    await writeFile(`${places.W}/.git`, content);
  }

  it.each([
    ['absolute', (places: Places) => `gitdir: ${places.OUT}/in\n`],
    ['relative', () => 'gitdir: ../OUT/in\n'],
    ['without an end of line', () => 'gitdir: ../OUT/in'],
    ['with an end of line of Windows', () => 'gitdir: ../OUT/in\r\n'],
    ['through links', (places: Places) => `gitdir: ${places.LINK}/../OUT/in`],
  ])('protects the directory that it names: %s', async (_what, content) => {
    await using places = await arena();
    await withGitFile(places, content(places));
    const sandbox = await resolved([root('read'), at(places.W, 'write'), at(places.OUT, 'write')]);
    expect(accessTo(sandbox, `${places.OUT}/in/config`)).toBe('read');
    expect(accessTo(sandbox, `${places.OUT}/o.txt`)).toBe('write');
    expect(accessTo(sandbox, `${places.W}/.git`)).toBe('read');
    expect(ruleAt(sandbox, `${places.OUT}/in`)).toMatchObject({ protectedMetadata: true, kind: 'directory' });
  });

  it('protects it where it is yet to be made, and in the same root', async () => {
    await using places = await arena();
    await withGitFile(places, 'gitdir: .bare/git\n');
    const sandbox = await resolved([root('read'), at(places.W, 'write')]);
    expect(accessTo(sandbox, `${places.W}/.bare/git/config`)).toBe('read');
    expect(accessTo(sandbox, `${places.W}/.bare`)).toBe('read');
  });

  it('grants nothing that was not granted', async () => {
    await using places = await arena();
    await withGitFile(places, `gitdir: ${places.SEC}\n`);
    expect(accessTo(await resolved([at(places.W, 'write')]), `${places.SEC}/s.txt`)).toBe('none');
    const denied = await resolved([root('read'), at(places.W, 'write'), at(places.SEC, 'none')]);
    expect(accessTo(denied, `${places.SEC}/s.txt`)).toBe('none');
  });

  it.each(['', 'gitdir:', 'gitdir: \n', 'something else', '\ngitdir: ../OUT/in', 'gitdir: a\0b'])(
    'that names nothing is just protected: %j',
    async (content) => {
      await using places = await arena();
      await withGitFile(places, content);
      const sandbox = await resolved([root('read'), at(places.W, 'write'), at(places.OUT, 'write')]);
      expect(accessTo(sandbox, `${places.W}/.git`)).toBe('read');
      expect(accessTo(sandbox, `${places.OUT}/in`)).toBe('write');
    },
  );

  it('is refused where its directory is behind a link that can be replaced', async () => {
    await using places = await arena();
    await withGitFile(places, 'gitdir: lout/in\n');
    const error = await refusalOf([root('read'), at(places.W, 'write'), at(places.OUT, 'write')]);
    expect(error.message).toContain(`${places.W}/lout`);
  });

  it('counts where its own name is granted by nobody', async () => {
    await using places = await arena();
    await withGitFile(places, 'gitdir: ../OUT/in\n');
    const sandbox = await resolved([
      root('read'),
      at(places.W, 'write'),
      at(places.OUT, 'write'),
      at(`${places.OUT}/in`, 'write'),
    ]);
    expect(accessTo(sandbox, `${places.OUT}/in/config`)).toBe('write');
  });
});
