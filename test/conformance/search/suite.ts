import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { toFileUri } from '../../../src/protocol/path.ts';
import { type Target, type TestExecutor, finish } from '../../support/conformance-targets.ts';
import { expectSoon } from '../../support/unit-wait.ts';
import { type Folder, SearchSession, searchFolder } from './searching.ts';
import { unenforceable } from '../../support/sandbox-profiles.ts';

/** Searches over one kind of connection. */
export function searchSuite(target: Target): void {
  describe(`searches over ${target.name}`, () => {
    let executor: TestExecutor;
    let folder: Folder;
    const open = async (): Promise<SearchSession> => SearchSession.open(await executor.connect());

    beforeAll(async () => {
      executor = await target.start();
      folder = await searchFolder();
      for (let index = 100; index < 150; index++) {
        const sub = path.join(folder.path, `d${index % 5}`);
        await mkdir(sub, { recursive: true });
        await writeFile(path.join(sub, `f${index}.ts`), `first\nneedle ${index}\nlast\n`);
      }
    });
    afterAll(async () => {
      await folder[Symbol.asyncDispose]();
      await finish(target, executor);
    });

    test('fs/glob answers paths in the form of the request', async () => {
      await using session = await open();
      const plain = await session.call('fs/glob', { path: folder.path, patterns: ['d1/*.ts'] });
      expect(plain).toMatchObject({ total: 10, truncated: false });
      expect(plain.paths?.[0]).toBe(`${folder.path}/d1/f101.ts`);
      expect(plain).not.toHaveProperty('errors');
      const uri = await session.call('fs/glob', {
        path: toFileUri(folder.path),
        patterns: ['d1/*.ts'],
        maxResults: 1,
      });
      expect(uri).toEqual({
        paths: [`file://${folder.path}/d1/f101.ts`],
        total: 1,
        truncated: true,
        truncatedBy: 'matches',
      });
    });

    test('fs/grep answers matches with their context', async () => {
      await using session = await open();
      const found = await session.call('fs/grep', {
        path: folder.path,
        pattern: 'needle 1[0-4]5',
        before: 1,
        after: 1,
      });
      expect(found).toMatchObject({
        total: 5,
        files: 5,
        truncated: false,
        skippedBinary: 0,
        skippedLarge: 0,
      });
      expect(found.matches?.[0]).toEqual({
        path: `${folder.path}/d0/f105.ts`,
        lineNumber: 2,
        line: 'needle 105',
        submatches: [{ start: 0, end: 10 }],
        before: ['first'],
        after: ['last'],
      });
    });

    test('with a searchId the results come in fs/matches, before an answer without them', async () => {
      await using session = await open();
      const glob = await session.call('fs/glob', { path: folder.path, patterns: ['**'], searchId: 'g' });
      expect(glob).toEqual({ total: 50, truncated: false });
      expect(session.events.flatMap(({ paths = [] }) => paths)).toHaveLength(50);
      const grep = await session.call('fs/grep', { path: folder.path, pattern: 'needle', searchId: 's' });
      expect(grep).toMatchObject({ total: 50, files: 50, truncated: false });
      expect(grep).not.toHaveProperty('matches');
      const matches = session.events
        .filter(({ searchId }) => searchId === 's')
        .flatMap(({ matches = [] }) => matches);
      expect(matches).toEqual(
        (await session.call('fs/grep', { path: folder.path, pattern: 'needle' })).matches,
      );
    });

    test('the client streams matches and totals', async () => {
      await using session = await open();
      expect(await session.searches.glob({ path: folder.path, patterns: ['*/f10?.ts'] })).toMatchObject({
        total: 10,
      });
      const grep = session.searches.grep({ path: folder.path, pattern: 'needle' });
      const lines: string[] = [];
      for await (const match of grep) lines.push(match.line);
      expect(lines).toHaveLength(50);
      expect(await grep.done).toMatchObject({ total: 50, files: 50, truncated: false });
    });

    test('refusals name what is wrong', async () => {
      await using session = await open();
      const { path: root } = folder;
      const refused = async (pattern: string) => session.refused('fs/grep', { path: root, pattern });
      expect(await refused('(?=x)')).toMatchObject({
        code: -32602,
        message: expect.stringContaining('look-around'),
      });
      expect(await refused('')).toMatchObject({ code: -32602 });
      const globs = async (patterns: string[]) => session.refused('fs/glob', { path: root, patterns });
      expect(await globs([])).toMatchObject({ code: -32602 });
      expect(await globs(['/x'])).toMatchObject({
        code: -32602,
        message: expect.stringContaining('absolute'),
      });
      expect(await session.refused('fs/glob', { path: `${root}/no`, patterns: ['*'] })).toMatchObject({
        code: -32004,
      });
      expect(await session.refused('fs/grep', { path: `${root}/no`, pattern: 'x' })).toMatchObject({
        code: -32004,
      });
      expect(await session.refused('fs/glob', { path: `${root}/d0/f100.ts`, patterns: ['*'] })).toMatchObject(
        {
          code: -32603,
          message: expect.stringContaining('(os error 20)'),
        },
      );
      expect(await session.refused('fs/grep', { path: '/dev/null', pattern: 'x' })).toMatchObject({
        code: -32600,
      });
      const sandbox = unenforceable;
      expect(await session.refused('fs/grep', { path: root, pattern: 'x', sandbox })).toMatchObject({
        code: -32600,
      });
      expect(await session.refused('fs/glob', { path: root, patterns: ['*'], sandbox })).toMatchObject({
        code: -32600,
      });
      const tooMany = { path: root, pattern: 'x', maxMatches: limits.grepMatchesMost + 1 };
      expect(await session.refused('fs/grep', tooMany)).toMatchObject({ code: -32602 });
    });

    test('a search that is stuck does not outlive its connection, nor hold up the end of the executor', async () => {
      await using stuck = await searchFolder();
      await writeFile(path.join(stuck.path, 'a'), `aaa\n${'a'.repeat(60)}!\n`);
      const session = await open();
      const first = new Promise<void>((resolve) => void (session.onMatches = () => resolve()));
      const params = { path: stuck.path, pattern: '(a+)+$', searchId: 's', timeoutMs: 60_000 };
      const lost = session.call('fs/grep', params).then(
        () => 'answered',
        () => 'lost',
      );
      await expectSoon('the first match', first);
      await session.close();
      expect(await lost).toBe('lost');
    });

    test('fs/cancelSearch of a search that is not there is no error', async () => {
      await using session = await open();
      expect(await session.call('fs/cancelSearch', { searchId: 'nothing' })).toEqual({});
    });
  });
}
