import { readdir, readFile, stat } from 'node:fs/promises';
import { expect } from 'vitest';

import { base64 } from '../../support/conformance-wire.ts';
import type { FileCase, FileContext } from './case.ts';
import { errnoOf } from './row.ts';

/** A loop that puts a link in the place of a directory and takes it away again. */
const swapper = `
const fs = require('node:fs');
const [place, spare, link] = process.argv.slice(1);
process.stdout.write('ready');
for (;;) {
  fs.renameSync(place, spare);
  fs.renameSync(link, place);
  fs.renameSync(place, link);
  fs.renameSync(spare, place);
}`;

/** The same for a directory that another one removes all the time: each step may fail. */
const restorer = `
const fs = require('node:fs');
const [victim, outside] = process.argv.slice(1);
const attempt = (step) => { try { step(); } catch {} };
process.stdout.write('ready');
for (;;) {
  attempt(() => fs.mkdirSync(victim + '/sub/deep', { recursive: true }));
  for (let i = 0; i < 5; i++) attempt(() => fs.writeFileSync(victim + '/sub/kept-' + i, ''));
  attempt(() => fs.renameSync(victim + '/sub', victim + '/spare'));
  attempt(() => fs.symlinkSync(outside, victim + '/sub'));
  attempt(() => fs.unlinkSync(victim + '/sub'));
  attempt(() => fs.renameSync(victim + '/spare', victim + '/sub'));
}`;

/** Until both outcomes of a race were seen, it was none. */
const mostRounds = 20_000;

export const raceCases: readonly FileCase[] = [
  ...(
    [
      ['the parent', 'place/file', 'place'],
      ['a parent far above', 'place/sub/deep/file', 'place'],
      ['a parent below another', 'above/place/sub/file', 'above/place'],
    ] as const
  ).map(([which, file, place], index): FileCase => ({
    id: `race-read-${index}`,
    title: `Where ${which} is swapped with a link, nothing behind the link is read without following`,
    run: async (context) => {
      await swap(context, file, place);
      const outcomes = new Map<string, number>();
      await race(outcomes, 200, async () => {
        const params = { path: context.uri(file), followSymlinks: false };
        const { result, error } = await context.client.request('fs/readFile', params);
        if (error !== undefined) return `errno ${errnoOf(error.message)}`;
        return Buffer.from((result as { dataBase64: string }).dataBase64, 'base64').toString();
      });
      expect([...outcomes.keys()].filter((one) => !['inside', 'errno 2', 'errno 20'].includes(one))).toEqual(
        [],
      );
    },
  })),
  {
    id: 'race-read-last',
    title: 'Where the file itself is swapped with a link, its target is not read without following',
    run: async (context) => {
      const tree = await context.fill();
      await tree.file('place', 'inside');
      await tree.file('outside', 'outside');
      await tree.link('link', 'outside');
      await context.beside(swapper, tree.path('place'), tree.path('spare'), tree.path('link'));
      const outcomes = new Map<string, number>();
      await race(outcomes, 200, async () => {
        const params = { path: context.uri('place'), followSymlinks: false };
        const { result, error } = await context.client.request('fs/readFile', params);
        if (error !== undefined) return `errno ${errnoOf(error.message)}`;
        return Buffer.from((result as { dataBase64: string }).dataBase64, 'base64').toString();
      });
      expect([...outcomes.keys()].filter((one) => !['inside', 'errno 2', 'errno 40'].includes(one))).toEqual(
        [],
      );
    },
  },
  {
    id: 'race-write',
    title: 'Where the parent is swapped with a link, nothing behind the link is written without following',
    run: async (context) => {
      const tree = await swap(context, 'place/file', 'place');
      const before = await readdir(tree.path('outside'), { recursive: true });
      const outcomes = new Map<string, number>();
      let round = 0;
      await race(outcomes, 100, async () => {
        round += 1;
        const options = { dataBase64: base64('inside'), followSymlinks: false };
        const path = context.uri('place/file');
        const answers = await Promise.all([
          context.client.request('fs/writeFile', { ...options, path }),
          context.client.request('fs/writeFile', { ...options, path, atomic: true }),
          context.client.request('fs/createDirectory', {
            path: context.uri(`place/d${round}`),
            recursive: false,
            followSymlinks: false,
          }),
          context.client.request('fs/remove', { path: context.uri('place/sub'), followSymlinks: false }),
          context.client.request('fs/setMetadata', { path, mode: 0o600, followSymlinks: false }),
        ]);
        return answers.every((answer) => answer.error === undefined) ? 'inside' : 'refused';
      });
      expect(await readFile(tree.path('outside/file'), 'utf8')).toBe('outside');
      expect(await readdir(tree.path('outside'), { recursive: true })).toEqual(before);
      expect((await stat(tree.path('outside/file'))).mode & 0o7777).toBe(0o644);
    },
  },
  {
    id: 'race-remove',
    title: 'A directory that becomes a link while its tree is removed loses nothing behind the link',
    run: async (context) => {
      const tree = await context.fill();
      await tree.directory('outside');
      const kept = Array.from({ length: 5 }, (_one, index) => `kept-${index}`);
      for (const name of kept) await tree.file(`outside/${name}`, '');
      await tree.directory('victim');
      await context.beside(restorer, tree.path('victim'), tree.path('outside'));
      for (let round = 0; round < 1000; round++) {
        await context.client.request('fs/remove', {
          path: context.uri('victim'),
          followSymlinks: round % 2 === 0,
        });
      }
      expect((await readdir(tree.path('outside'))).toSorted()).toEqual(kept);
    },
  },
  {
    id: 'race-fifos',
    title: 'Requests for FIFOs delay no other request',
    run: async (context) => {
      const tree = await context.fill();
      const names = Array.from({ length: 20 }, (_one, index) => `fifo-${index}`);
      for (const name of names) await tree.fifo(name);
      const client = await context.open();
      const asked = names.flatMap((name) => [
        client.request('fs/readFile', { path: context.uri(name) }),
        client.request('fs/writeFile', { path: context.uri(name), dataBase64: '' }),
        client.request('fs/open', { handleId: name, path: context.uri(name) }),
        client.request('fs/copy', {
          sourcePath: context.uri('file'),
          destinationPath: context.uri(name),
          recursive: false,
        }),
        client.request('fs/truncate', { path: context.uri(name), size: 0 }),
      ]);
      const { dataBase64 } = await client.call('fs/readFile', { path: context.uri('file') });
      expect(Buffer.from(dataBase64).toString()).toBe('hello\n');
      await client.call('fs/writeFile', { path: context.uri('new'), dataBase64: '', atomic: true });
      const view = await client.runShell('echo started');
      expect(view.text('stdout')).toBe('started\n');
      const answers = await Promise.all(asked);
      expect(answers.filter((answer) => answer.error === undefined)).toEqual([]);
    },
  },
];

/** The file below the place is `inside`; below what the place is swapped with, `outside`. */
async function swap(context: FileContext, file: string, place: string): Promise<FileContext['tree']> {
  const tree = await context.fill();
  const below = file.slice(place.length + 1);
  for (const [root, content] of [
    [place, 'inside'],
    ['outside', 'outside'],
  ] as const) {
    await tree.parents(`${root}/${below}`);
    await tree.parents(`${root}/sub/deep`);
    await tree.file(`${root}/${below}`, content);
  }
  await tree.link('link', tree.path('outside'));
  await context.beside(swapper, tree.path(place), tree.path('spare'), tree.path('link'));
  return tree;
}

/** Asks so many times, and on until it was seen from both sides that there was a race. */
async function race(
  outcomes: Map<string, number>,
  rounds: number,
  once: () => Promise<string>,
): Promise<void> {
  for (let round = 0; round < rounds || outcomes.size < 2; round++) {
    if (round > mostRounds) throw new Error(`There was only ${[...outcomes.keys()].join()}`);
    const outcome = await once();
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}
