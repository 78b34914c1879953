import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { advance, isComplete, readPattern, startOf } from '../../../src/sandbox/glob-pattern.ts';
import { at, glob, root } from '../../support/sandbox-profiles.ts';
import { accessTo, refusalOf, resolved, ruleAt, rulesOf } from '../../support/sandbox-resolve.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';

function matches(text: string, name: string): boolean {
  const pattern = readPattern(text);
  if ('problem' in pattern) throw new Error(pattern.problem);
  const names = name.split('/');
  const fixed = pattern.fixed.every((part, index) => names[index] === part);
  const progress = names
    .slice(pattern.fixed.length)
    .reduce((seen, part) => advance(pattern.parts, seen, Array.from(part)), startOf(pattern.parts));
  return fixed && isComplete(pattern.parts, progress);
}

describe('a pattern', () => {
  it.each<[string, string[], string[]]>([
    ['*', ['a', '.env', 'ü'], ['a/b']],
    ['*.env', ['.env', 'a.env'], ['a.envx', 'a/b.env']],
    ['a*c', ['ac', 'abc', 'a.c'], ['a', 'abcd']],
    ['?', ['a', 'ü', '😀'], ['ab']],
    ['a?c', ['abc'], ['ac', 'abbc']],
    ['**', ['a', 'a/b', 'a/b/c'], []],
    ['**/x', ['x', 'a/x', 'a/b/x'], ['xa', 'x/a']],
    ['a/**/x', ['a/x', 'a/b/x', 'a/b/c/x'], ['x', 'b/x']],
    ['a/**', ['a/b', 'a/b/c'], ['b/a']],
    ['**/a/**/b', ['a/b', 'x/a/b', 'a/x/b', 'x/a/y/z/b'], ['b/a', 'a/x']],
    ['a**b', ['ab', 'axxb'], ['a/b', 'a/x/b']],
    ['[abc]', ['a', 'b'], ['d', 'ab']],
    ['[a-c]x', ['ax', 'cx'], ['dx', '-x']],
    ['[!a]', ['b', '.'], ['a']],
    ['[^a]', ['b'], ['a']],
    ['[]a]*', [']', 'ax'], ['b']],
    ['[a-]*', ['a', '-x'], ['b']],
    ['[*]x*', ['*x'], ['ax']],
    ['*[', ['['], ['a']],
    ['[ab*', ['[ab', '[abx'], ['a', 'b']],
    ['a.b*', ['a.b', 'a.bc'], ['aXb']],
    ['(a|b)*', ['(a|b)'], ['a']],
    ['!x*', ['!x'], ['y']],
    ['*a*a*a*a*b', ['aaaab'], ['a'.repeat(200)]],
    ['src/*.c', ['src/a.c'], ['a.c', 'src/x/a.c']],
    ['./src//*.c', ['src/a.c'], []],
  ])('%s', (text, yes, no) => {
    expect(yes.filter((name) => !matches(text, name))).toEqual([]);
    expect(no.filter((name) => matches(text, name))).toEqual([]);
  });

  it('takes a time that grows with its length and not faster', () => {
    const pattern = `/w/${'*a'.repeat(2000)}b`;
    const start = performance.now();
    for (let i = 0; i < 100; i++) expect(matches(pattern.slice(1), `w/${'a'.repeat(255)}`)).toBe(false);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('a denied pattern', () => {
  async function tree(): Promise<{ W: string } & AsyncDisposable> {
    const folder = await temporaryFolder();
    const W = path.join(folder.path, 'W');
    for (const name of [
      '.env',
      'a.env',
      'src/.env',
      'src/deep/.env',
      '.hidden/.env',
      'pub/p',
      '.gitignore',
    ]) {
      await mkdir(path.join(W, path.dirname(name)), { recursive: true });
      await writeFile(path.join(W, name), '*');
    }
    await mkdir(path.join(W, 'dir.env'));
    await writeFile(path.join(W, 'dir.env/x'), '');
    await symlink('a.env', path.join(W, 'link.env'));
    await symlink('src', path.join(W, 'links'));
    return { W, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
  }

  const denied = async (W: string, pattern: string, options = {}): Promise<string[]> => {
    const sandbox = await resolved([root('read'), at(W, 'write'), glob(pattern, 'none')], options);
    return rulesOf(sandbox)
      .filter(({ access }) => access === 'none')
      .map((rule) => path.relative(W, rule.path.toString()));
  };

  it.each<[string, string[]]>([
    ['**/.env', ['.env', '.hidden/.env', 'src/.env', 'src/deep/.env']],
    ['*.env', ['.env', 'a.env']],
    ['*/.env', ['.hidden/.env', 'src/.env']],
    ['src/**', ['src/.env', 'src/deep/.env']],
    ['dir.env/*', ['dir.env/x']],
    ['p?b/*', ['pub/p']],
    ['[!.]*.env', ['a.env']],
    ['links/*', ['src/.env']],
    ['nowhere/**', []],
    ['.env/*', []],
  ])('covers the regular files that match, hidden and ignored ones too: %s', async (pattern, files) => {
    await using made = await tree();
    const { W } = made;
    if (pattern.startsWith('links')) {
      const sandbox = await resolved([root('read'), glob(`${W}/${pattern}`, 'none')]);
      expect(accessTo(sandbox, `${W}/src/.env`)).toBe('none');
      return;
    }
    expect(await denied(W, `${W}/${pattern}`)).toEqual(files);
    expect(await denied(W, pattern, { context: { cwd: W } })).toEqual(files);
  });

  it('counts levels from its fixed part', async () => {
    await using made = await tree();
    const { W } = made;
    expect(await denied(W, `${W}/**/.env`, { depth: 1 })).toEqual(['.env']);
    expect(await denied(W, `${W}/**/.env`, { depth: 2 })).toEqual(['.env', '.hidden/.env', 'src/.env']);
    expect(await denied(W, `${W}/src/**/.env`, { depth: 1 })).toEqual(['src/.env']);
  });

  it('says which entry it was, and what was there', async () => {
    await using made = await tree();
    const { W } = made;
    const sandbox = await resolved([root('read'), at(W, 'write'), glob(`${W}/src/*`, 'none')]);
    expect(ruleAt(sandbox, `${W}/src/.env`)).toMatchObject({
      source: 'entry 3 (glob none)',
      kind: 'file',
      identity: expect.stringMatching(/^\d+:\d+$/) as string,
    });
  });

  it('takes the characters of a cwd for what they are', async () => {
    await using folder = await temporaryFolder();
    const W = path.join(folder.path, '[a]*{b}');
    await mkdir(W);
    await writeFile(path.join(W, 'x.key'), '');
    expect(await denied(W, '*.key', { context: { cwd: W } })).toEqual(['x.key']);
  });

  it('wins over a grant of the same file', async () => {
    await using made = await tree();
    const { W } = made;
    const sandbox = await resolved([at(W, 'write'), at(`${W}/.env`, 'write'), glob(`${W}/*.env`, 'none')]);
    expect(accessTo(sandbox, `${W}/.env`)).toBe('none');
  });

  it('matches names that are no UTF-8', async () => {
    await using made = await tree();
    const { W } = made;
    await writeFile(Buffer.concat([Buffer.from(`${W}/`), Buffer.from([0xff]), Buffer.from('.key')]), '');
    const sandbox = await resolved([at(W, 'write'), glob(`${W}/?.key`, 'none')]);
    expect(rulesOf(sandbox).filter(({ access }) => access === 'none')).toHaveLength(1);
  });

  it.each([
    ['/w/{a,b}', 'braces'],
    ['/w/*.{a,b}', 'braces'],
    ['/w/\\*', 'backslash'],
    ['/w/a', 'without a wildcard'],
    ['/w/[ab', 'without a wildcard'],
    ['/w/../*', '".."'],
    ['/*', 'root directory'],
    ['/**/.env', 'root directory'],
    ['/w/a\0*', 'NUL'],
  ])('is refused where its meaning or its reach is unclear: %j', async (pattern, text) => {
    const error = await refusalOf([root('read'), glob(pattern, 'none')]);
    expect(error.code).toBe(-32602);
    expect(error.message).toContain('entry 2 (glob none)');
    expect(error.message).toContain(text);
  });

  it('is refused where it matches more files than can be masked', async () => {
    await using folder = await temporaryFolder();
    for (let i = 0; i <= limits.sandboxGlobMatches; i++)
      await writeFile(path.join(folder.path, `${i}.key`), '');
    const error = await refusalOf([glob(`${folder.path}/*.key`, 'none')]);
    expect(error.code).toBe(-32600);
    expect(error.message).toContain('too many files');
  });

  it('is refused where the tree is deeper than it searches, unless that was asked for', async () => {
    await using folder = await temporaryFolder();
    const deep = path.join(folder.path, ...Array.from({ length: limits.sandboxGlobDepth + 1 }, () => 'd'));
    await mkdir(deep, { recursive: true });
    const entries = [glob(`${folder.path}/**/.env`, 'none')];
    expect((await refusalOf(entries)).message).toContain('too many levels');
    await expect(resolved(entries, { depth: limits.sandboxGlobDepth })).resolves.toBeDefined();
    await expect(resolved([glob(`${folder.path}/d/*.env`, 'none')])).resolves.toBeDefined();
  });

  it('is refused where its directory is behind a link that can be replaced', async () => {
    await using made = await tree();
    const { W } = made;
    const error = await refusalOf([at(W, 'write'), glob(`${W}/links/*`, 'none')]);
    expect(error.message).toContain(`${W}/links`);
  });
});

/** As root every directory is open; so this does what follows as an ordinary user. */
describe('directories that may not be listed or entered', () => {
  const nobody = 65_534;

  async function asUser<T>(run: (folder: string) => Promise<T>): Promise<T> {
    const folder = await mkdtemp('/tmp/exec-server-unit-');
    const isRoot = process.geteuid?.() === 0;
    try {
      if (isRoot) {
        await chown(folder, nobody, nobody);
        process.seteuid?.(nobody);
      }
      return await run(folder);
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(`${folder}/locked`, 0o700).catch(() => undefined);
      await rm(folder, { recursive: true });
    }
  }

  it.each([0o000, 0o100, 0o400])('refuse a pattern that could match in them (mode %o)', async (mode) => {
    await asUser(async (folder) => {
      await mkdir(`${folder}/locked/in`, { recursive: true });
      await writeFile(`${folder}/locked/.env`, '');
      await chmod(`${folder}/locked`, mode);
      const error = await refusalOf([at(folder, 'read'), glob(`${folder}/**/.env`, 'none')]);
      expect(error.message).toContain(`${folder}/locked`);
      await expect(resolved([at(folder, 'read'), glob(`${folder}/*.env`, 'none')])).resolves.toBeDefined();
    });
  });

  it('keep what is behind them denied, and refuse it where they could be opened', async () => {
    await asUser(async (folder) => {
      await mkdir(`${folder}/locked/in`, { recursive: true });
      await chmod(`${folder}/locked`, 0);
      const inside = `${folder}/locked/in`;
      const sandbox = await resolved([root('read'), at(inside, 'none')]);
      expect(ruleAt(sandbox, inside)).toMatchObject({ access: 'none', kind: 'hidden' });
      expect(rulesOf(await resolved([at(inside, 'write')]))).toEqual([]);
      const error = await refusalOf([at(folder, 'write'), at(inside, 'none')]);
      expect(error.message).toContain('may not enter');
      expect((await refusalOf([at(`${folder}/locked`, 'write')])).message).toContain('may not enter');
    });
  });
});
