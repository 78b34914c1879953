import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Answer, WireClient } from '../../support/conformance-wire.ts';
import { openSession } from '../../support/files-session.ts';
import { type Target, type TestExecutor, finish } from '../../support/conformance-targets.ts';
import { SandboxTree } from '../../support/sandbox-files-tree.ts';
import { place, context, special } from '../../support/sandbox-files-profile.ts';
import { inside } from './inside.ts';
import { type Refusal, denied, notThere, readOnly, writes } from './refusals.ts';

/** Runs everything over one kind of connection. */
export function sandboxFileSuite(target: Target): void {
  describe(`over ${target.name}`, () => {
    let executor: TestExecutor | undefined;
    let client: WireClient | undefined;
    beforeAll(async () => {
      executor = await target.start();
      client = await openSession(await executor.connect(), target.mark);
    });
    afterAll(async () => {
      await client?.[Symbol.asyncDispose]();
      await finish(target, executor);
    });
    sandboxFileCases(
      () => client,
      async () => SandboxTree.create(),
    );
    test('breaks no rule that holds for every message', () => {
      expect(client?.allProblems()).toEqual([]);
    });
  });
}

/** The same with an executor that somebody else has started. */
export function sandboxFileCases(
  clientOf: () => WireClient | undefined,
  createTree: () => Promise<SandboxTree>,
  { denials = true } = {},
): void {
  const client = (): WireClient => {
    const found = clientOf();
    if (found === undefined) throw new Error('There is no session.');
    return found;
  };
  let tree: SandboxTree;
  beforeAll(async () => {
    tree = await createTree();
  });
  afterAll(async () => {
    await tree[Symbol.asyncDispose]();
  });

  inside(client, () => tree);

  describe('refuses with the rule that decides, and changes nothing:', () => {
    const targets = {
      'outside of the workspace': {
        rule: () => 'entry 1 (root read)',
        paths: () => ({ file: tree.out('o.txt'), fresh: tree.out('fresh'), folder: tree.out('in') }),
      },
      'through a link that leads out': {
        rule: () => 'entry 1 (root read)',
        paths: () => ({
          file: tree.in('lout/o.txt'),
          fresh: tree.in('lout/fresh'),
          folder: tree.in('lout/in'),
        }),
      },
      'in .git': {
        rule: () => `protected metadata ${tree.in('.git')}`,
        paths: () => ({
          file: tree.in('.git/config'),
          fresh: tree.in('.git/fresh'),
          folder: tree.in('.git'),
        }),
      },
    };
    describe.each(Object.entries(targets))('%s', (_where, { rule, paths }) => {
      test.each(writes.map((write, index) => [index + 1, write] as const))(
        '%i $method',
        async (_index, write) => {
          const { file, fresh, folder } = paths();
          const before = withoutPlaceholders(await tree.snapshot());
          const params = write.params({ file, fresh, folder }, tree);
          // A link on the way is refused before anything else where none is to be followed.
          const answer = await client().request(write.method, { ...params, sandbox: tree.workspaceWrite });
          if ('followSymlinks' in params && file.includes('lout'))
            expect(answer.error?.message).toMatch(/os error (20|40)/);
          else expectRefusal(answer, { ...readOnly, rule: rule() });
          expect(withoutPlaceholders(await tree.snapshot())).toEqual(before);
        },
      );
    });

    test('an archive is not unpacked outside', async () => {
      const params = { streamId: 'refused', path: tree.out('in/deeper'), sandbox: tree.workspaceWrite };
      const opened = await client().request('fs/extract', params);
      expectRefusal(opened, { ...readOnly, rule: 'entry 1 (root read)' });
    });
  });

  describe('shows nothing of what it has put in place of protected names that are missing:', () => {
    const names = ['.agents', '.codex', '.aws'];

    test('they are in no list', async () => {
      const sandbox = tree.workspaceWrite;
      const path = tree.workspace;
      const { entries } = await client().call('fs/readDirectory', { path, sandbox });
      const options = { maxDepth: 3, maxDirectories: 100, maxEntries: 1000, followDirectorySymlinks: true };
      const walked = await client().call('fs/walk', { path, options, sandbox });
      const listed = await client().call('fs/glob', {
        path,
        patterns: ['**'],
        includeDirectories: true,
        sandbox,
      });
      const copied = { sourcePath: path, destinationPath: tree.in('pub/copy'), recursive: true, sandbox };
      const listedNames = [
        ...entries.map(({ fileName }) => fileName),
        ...walked.entries.map((entry) => entry.path.slice(path.length + 1)),
        ...(listed.paths ?? []).map((found) => found.slice(path.length + 1)),
      ];
      expect(listedNames).toContain('.git');
      expect(listedNames.filter((name) => names.includes(name))).toEqual([]);
      expect((await client().request('fs/copy', copied)).error?.message).toMatch(
        /cannot copy a directory to itself/,
      );
    });

    test.each(names)('%s is not found, and cannot be made', async (name) => {
      const sandbox = tree.workspaceWrite;
      const path = tree.in(name);
      for (const method of [
        'fs/getMetadata',
        'fs/readDirectory',
        'fs/readFile',
        'fs/canonicalize',
        'fs/readLink',
        'fs/watch',
      ] as const) {
        const { error } = await client().request(method, { path, sandbox, watchId: 'phantom' });
        expect(error?.message, method).toContain('(os error 2)');
      }
      const rule = `protected metadata ${path}`;
      const paths = { file: path, fresh: path, folder: path };
      const making = writes.filter(
        ({ method }) => !['fs/remove', 'fs/truncate', 'fs/setMetadata', 'fs/rename'].includes(method),
      );
      for (const write of making) {
        const answer = await client().request(write.method, { ...write.params(paths, tree), sandbox });
        expectRefusal(answer, { ...readOnly, rule });
        const below = { file: `${path}/x`, fresh: `${path}/x`, folder: path };
        const second = await client().request(write.method, { ...write.params(below, tree), sandbox });
        expectRefusal(second, { ...readOnly, rule });
      }
      const { error } = await client().request('fs/remove', { path, force: false, sandbox });
      expect(error?.code).toBe(-32004);
      await client().call('fs/remove', { path, sandbox });
    });
  });

  describe('under a profile that grants the workspace alone', () => {
    test('what the platform needs is readable, and nothing else outside', async () => {
      const sandbox = context(tree.workspace, [special('project_roots', 'write')]);
      const read = async (path: string): Promise<Answer> =>
        client().request('fs/readFile', { path, sandbox });
      expect((await read(tree.in('f.txt'))).error).toBeUndefined();
      expect((await read('/etc/hostname')).error).toBeUndefined();
      for (const path of [tree.out('o.txt'), tree.in('lo'), `/proc/self/root${tree.out('o.txt')}`]) {
        expect((await read(path)).error, path).toMatchObject({ code: -32004 });
      }
      expectRefusal(await read(tree.out('o.txt')), { ...notThere, rule: null });
    });

    test('nothing is said to be removed that is only not seen', async () => {
      const sandbox = context(tree.workspace, [special('project_roots', 'write')]);
      const answer = await client().request('fs/remove', { path: tree.out('o.txt'), sandbox });
      expectRefusal(answer, { ...readOnly, access: 'none', rule: null });
    });

    test('nothing is written that would be lost', async () => {
      const sandbox = context(tree.workspace, [special('project_roots', 'write')]);
      for (const path of [`${tree.root}/lost`, '/lost', '/dev/shm/lost', '/tmp/lost', '/dev/lost']) {
        const { error } = await client().request('fs/writeFile', { path, dataBase64: '', sandbox });
        expect(error?.message, path).toMatch(/\(os error (2|30|13)\)/);
      }
    });
  });

  const withDenials = () =>
    context(tree.workspace, [
      special('root', 'read'),
      special('project_roots', 'write'),
      place(tree.in('.env'), 'none'),
      place(tree.in('src'), 'none'),
      place(tree.in('src/deep'), 'write'),
    ]);

  const denialCases = (): void => {
    const rules = { file: 'entry 3 (path none)', folder: 'entry 4 (path none)' };

    test('a file, which is seen and not read, written or removed', async () => {
      const path = tree.in('.env');
      const ask = async (method: string, more = {}): Promise<Answer> =>
        client().request(method, { path, sandbox: withDenials(), ...more });
      expectRefusal(await ask('fs/readFile'), { ...denied, rule: rules.file });
      expectRefusal(await ask('fs/writeFile', { dataBase64: '' }), {
        ...readOnly,
        access: 'none',
        rule: rules.file,
      });
      expectRefusal(await ask('fs/remove'), { errno: 16, code: -32603, access: 'none', rule: rules.file });
      expect((await ask('fs/getMetadata')).result).toMatchObject({ isFile: true, size: 0 });
    });

    test('a folder, but not what is granted in it', async () => {
      const ask = async (method: string, name: string, more = {}): Promise<Answer> =>
        client().request(method, { path: tree.in(name), sandbox: withDenials(), ...more });
      const write = { dataBase64: Buffer.from('int e;\n').toString('base64') };
      expectRefusal(await ask('fs/readFile', 'src/a.c'), { ...denied, rule: rules.folder });
      expectRefusal(await ask('fs/readDirectory', 'src'), { ...denied, rule: rules.folder });
      expectRefusal(await ask('fs/writeFile', 'src/b.c', write), { ...denied, rule: rules.folder });
      expectRefusal(await ask('fs/remove', 'src/a.c'), { ...denied, rule: rules.folder });
      expectRefusal(await ask('fs/remove', 'src'), { ...denied, rule: rules.folder });
      expect((await ask('fs/getMetadata', 'src')).result).toMatchObject({ isDirectory: true });
      expect((await ask('fs/writeFile', 'src/deep/e.c', write)).error).toBeUndefined();
      expect((await ask('fs/readFile', 'src/deep/e.c')).result).toEqual(write);
    });
  };

  // What cannot be enforced is no reason to leave a test out: it has to be refused.
  if (!denials)
    test('refuses a profile that denies something in what it grants', async () => {
      for (const name of ['.env', 'src/a.c', 'f.txt']) {
        const answer = await client().request('fs/readFile', { path: tree.in(name), sandbox: withDenials() });
        expect(answer.error?.message, name).toContain('cannot deny a path inside of a grant');
        expect(answer.error?.data, name).toMatchObject({ sandbox: { rule: 'entry 3 (path none)' } });
      }
    });
  else describe('keeps what a profile denies', denialCases);

  test('does without a sandbox what needs none', async () => {
    const path = tree.out('direct');
    for (const permissions of [
      { type: 'disabled' },
      { type: 'external', network: 'restricted' },
      { type: 'managed', network: 'restricted', file_system: { type: 'unrestricted' } },
    ]) {
      const params = { path, dataBase64: '', sandbox: { permissions } };
      expect((await client().request('fs/writeFile', params)).error).toBeUndefined();
    }
    await client().call('fs/remove', { path });
  });

  test('refuses a profile that needs a cwd and has none', async () => {
    const sandbox = context(undefined, [special('project_roots', 'write')]);
    const error = await client().refused('fs/readFile', { path: tree.in('f.txt'), sandbox });
    expect([-32600, -32602]).toContain(error.code);
    expect(error.message).toContain('requires cwd');
  });
}

export function expectRefusal(
  answer: Answer,
  { errno, code, access, rule }: Refusal & { readonly rule: string | null },
): void {
  expect(answer.error, answer.text.slice(0, 300)).toMatchObject({
    code,
    data: { sandbox: { access, rule } },
  });
  expect(answer.error?.message).toContain(`(os error ${errno})`);
}

/** The host sees what is mounted on, as long as a worker is there. */
function withoutPlaceholders(snapshot: Record<string, string>): Record<string, string> {
  const placeholders = new Set(['w/.agents', 'w/.codex', 'w/.aws']);
  return Object.fromEntries(Object.entries(snapshot).filter(([name]) => !placeholders.has(name)));
}
