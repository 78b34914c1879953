import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { expectSoon } from '../../support/unit-wait.ts';
import { type Folder, localSession, searchFolder } from './searching.ts';

/** On a line of these, `(a+)+$` takes a backtracking engine longer than anybody waits. */
const catastrophe = { pattern: '(a+)+$', line: `${'a'.repeat(60)}!` };

async function trap(): Promise<Folder> {
  const folder = await searchFolder();
  await writeFile(path.join(folder.path, 'a'), 'aaa\n');
  await writeFile(path.join(folder.path, 'b'), `${catastrophe.line}\naaa\n`);
  return folder;
}

test('a pattern that backtracks for ever ends at its time, and the event loop goes on meanwhile', async () => {
  await using folder = await trap();
  await using local = await localSession({ ripgrep: 'off' });
  const { session } = local;
  await session.call('fs/glob', { path: folder.path, patterns: ['*'] });
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const search = session.call('fs/grep', {
    path: folder.path,
    pattern: catastrophe.pattern,
    timeoutMs: 1000,
  });
  // Other requests are answered while the thread is stuck.
  for (let round = 0; round < 5; round++)
    await expectSoon('an answer meanwhile', session.call('environment/status', undefined));
  const found = await expectSoon('the end of the search', search);
  delay.disable();
  expect(found).toMatchObject({ truncated: true, truncatedBy: 'time' });
  expect(delay.percentile(90) / 1e6).toBeLessThan(200);
  // The stuck thread is gone, and the next search has a new one.
  expect(await session.call('fs/grep', { path: folder.path, pattern: 'aaa$' })).toMatchObject({ total: 2 });
});

test('fs/cancelSearch ends a search, which is answered with what it had sent', async () => {
  await using folder = await trap();
  await using local = await localSession({ ripgrep: 'off' });
  const { session } = local;
  const { pattern } = catastrophe;
  const search = session.call('fs/grep', { path: folder.path, pattern, searchId: 'c', timeoutMs: 60_000 });
  expect(await session.refused('fs/grep', { path: folder.path, pattern, searchId: 'c' })).toMatchObject({
    code: -32600,
    message: expect.stringContaining('searchId'),
  });
  await session.call('fs/cancelSearch', { searchId: 'c' });
  const found = await expectSoon('the answer of the cancelled search', search);
  expect(found).toMatchObject({ truncated: true, truncatedBy: 'cancelled' });
  expect(session.events.flatMap(({ matches = [] }) => matches)).toHaveLength(found.total);
});

test('more searches than a connection may run are refused, until one has ended', async () => {
  await using folder = await trap();
  await using local = await localSession({ ripgrep: 'off' });
  const { session } = local;
  const stuck = Array.from({ length: limits.searches }, async (_, index) =>
    session.call('fs/grep', {
      path: folder.path,
      pattern: catastrophe.pattern,
      searchId: `s${index}`,
      timeoutMs: 60_000,
    }),
  );
  const glob = { path: folder.path, patterns: ['*'] };
  expect(await session.refused('fs/glob', glob)).toMatchObject({ code: -32011 });
  await session.call('fs/cancelSearch', { searchId: 's0' });
  await expectSoon('the cancelled search', stuck[0] as Promise<unknown>);
  expect(await session.call('fs/glob', glob)).toMatchObject({ total: 2 });
  for (let index = 1; index < limits.searches; index++)
    await session.call('fs/cancelSearch', { searchId: `s${index}` });
  await expectSoon('all of them', Promise.all(stuck));
});

test('the end of the connection ends its searches', async () => {
  await using folder = await trap();
  const local = await localSession({ ripgrep: 'off' });
  const { session } = local;
  const search = session.call('fs/grep', {
    path: folder.path,
    pattern: catastrophe.pattern,
    timeoutMs: 60_000,
  });
  const lost = search.then(
    () => 'answered',
    () => 'lost',
  );
  await expectSoon('the end of the connection', session.close());
  expect(await expectSoon('the end of the call', lost)).toBe('lost');
  await expectSoon('the end of the executor', Promise.resolve(local[Symbol.asyncDispose]()));
});

test('leaving the loop over the matches cancels the search', async () => {
  await using folder = await trap();
  await using local = await localSession({ ripgrep: 'off' });
  const { session } = local;
  const grep = session.searches.grep({ path: folder.path, pattern: '(a+)+$', timeoutMs: 60_000 });
  const first = grep[Symbol.asyncIterator]();
  expect(await expectSoon('the first match', first.next())).toMatchObject({ value: { line: 'aaa' } });
  await first.return?.();
  await expect(grep.done).rejects.toThrow(/abort/i);
  const all = Array.from({ length: limits.searches }, async () =>
    session.call('fs/glob', { path: folder.path, patterns: ['*'] }),
  );
  await expectSoon('as many searches as are allowed', Promise.all(all));
});

test('an aborted signal ends a search of the client with its reason', async () => {
  await using folder = await trap();
  await using local = await localSession({ ripgrep: 'off' });
  const { session } = local;
  const abort = new AbortController();
  const grep = session.searches.grep({ path: folder.path, pattern: '(a+)+$', signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(expectSoon('the end of the search', grep.done)).rejects.toThrow('enough');
  const glob = session.searches.glob({ path: folder.path, patterns: ['*'], signal: abort.signal });
  await expect(glob).rejects.toThrow('enough');
});
