import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { requireRipgrep } from '../../support/search-programs.ts';
import { type Folder, localSession, searchFolder } from './searching.ts';

const folders = 250;
const filesEach = 200;

describe('a tree of 50,000 files', () => {
  let folder: Folder;
  beforeAll(async () => {
    folder = await searchFolder();
    for (let index = 0; index < folders; index++) {
      const sub = path.join(folder.path, `d${String(index).padStart(3, '0')}`);
      mkdirSync(sub);
      for (let file = 0; file < filesEach; file++)
        writeFileSync(path.join(sub, `f${file}.txt`), `${index}-${file}\ncommon\n`);
    }
  });
  afterAll(async () => folder[Symbol.asyncDispose]());

  test.for(['off', 'ripgrep'] as const)('is searched alike, ripgrep: %s', async (engine, context) => {
    const ripgrep = engine === 'off' ? 'off' : requireRipgrep(context);
    await using local = await localSession({ ripgrep });
    const { session } = local;
    const rare = await session.call('fs/grep', { path: folder.path, pattern: '^\\d*7-199$' });
    expect(rare).toMatchObject({ total: folders / 10, files: folders / 10, truncated: false });
    const frequent = await session.call('fs/grep', {
      path: folder.path,
      pattern: 'common',
      searchId: 'all',
      maxMatches: limits.grepMatchesMost,
    });
    const came = session.events.flatMap(({ matches = [] }) => matches);
    expect(came).toHaveLength(frequent.total);
    expect(frequent.total).toBeGreaterThan(40_000);
    const bounded = await session.call('fs/grep', {
      path: folder.path,
      pattern: 'common',
      maxMatches: limits.grepMatchesMost,
    });
    expect(bounded).toMatchObject({ truncated: true, truncatedBy: 'bytes' });
    expect(bounded.matches).toEqual(came.slice(0, bounded.total));
  });

  test('is listed', async () => {
    await using local = await localSession();
    const { session } = local;
    const all = await session.call('fs/glob', {
      path: folder.path,
      patterns: ['**/*.txt'],
      maxResults: limits.globResultsMost,
    });
    expect(all).toMatchObject({ total: folders * filesEach, truncated: false });
    const paths = all.paths ?? [];
    expect(paths).toEqual(paths.toSorted());
    expect(await session.call('fs/glob', { path: folder.path, patterns: ['**'] })).toMatchObject({
      total: limits.globResults,
      truncatedBy: 'matches',
    });
  });
});
