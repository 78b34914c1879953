import {
  appendFile,
  chmod,
  mkdir,
  rename,
  rm,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import { toFileUri } from '../../../src/protocol/path.ts';
import type { WatchCase } from './suite.ts';

/** What changes, and how it is told. */
export const changeCases: readonly WatchCase[] = [
  {
    id: 'tree-kinds',
    title: 'each kind of change is told, at every depth',
    run: async (context) => {
      await context.write('a/b/old');
      const view = await context.watch();
      await context.write('new');
      await context.write('a/b/new');
      await writeFile(context.at('a/b/old'), 'content');
      await context.fence(view);
      await unlink(context.at('a/b/old'));
      await context.fence(view);
      expect(view.told).toEqual(['created new', 'created a/b/new', 'modified a/b/old', 'removed a/b/old']);
    },
  },
  ...(
    [
      ['appended to', async (file: string) => appendFile(file, 'more')],
      ['truncated', async (file: string) => truncate(file, 1)],
      ['given other permissions', async (file: string) => chmod(file, 0o600)],
      ['given other times', async (file: string) => utimes(file, 1, 2)],
    ] as const
  ).map(([how, change]): WatchCase => ({
    id: `tree-modified-${how.split(' ').at(-1)}`,
    title: `a file that is ${how} is told as modified`,
    run: async (context) => {
      await context.write('f', 'content');
      const view = await context.watch();
      await change(context.at('f'));
      await context.fence(view);
      expect(view.told).toEqual(['modified f']);
    },
  })),
  {
    id: 'tree-uri',
    title: 'paths come in the form of the request, as a URI in any case where they are no UTF-8',
    run: async (context) => {
      const uri = toFileUri(context.root);
      const [inUri, plain] = [await context.watch({ path: uri }), await context.watch()];
      await writeFile(Buffer.concat([Buffer.from(`${context.root}/odd `), Buffer.from([0xff])]), '');
      await context.write('ä');
      await inUri.tells('created %C3%A4');
      await plain.tells('created ä');
      expect(inUri.told).toEqual(['created odd%20%FF', 'created %C3%A4']);
      expect(plain.told).toEqual([`created ${uri}/odd%20%FF`, 'created ä']);
    },
  },
  {
    id: 'tree-rename-file',
    title: 'a renamed file is removed at one place and created at the other',
    run: async (context) => {
      await context.write('a/f');
      await context.write('g');
      const view = await context.watch();
      await rename(context.at('a/f'), context.at('g'));
      await context.fence(view);
      expect(view.told).toEqual(['removed a/f', 'created g']);
    },
  },
  {
    id: 'tree-rename-in-out',
    title: 'what comes from outside is created, what leaves is removed',
    run: async (context) => {
      await context.write('f');
      await writeFile(path.join(context.folder, 'outside'), '');
      const view = await context.watch();
      await rename(context.at('f'), path.join(context.folder, 'left'));
      await rename(path.join(context.folder, 'outside'), context.at('came'));
      await appendFile(path.join(context.folder, 'left'), 'not told');
      await context.fence(view);
      expect(view.told).toEqual(['removed f', 'created came']);
    },
  },
  {
    id: 'tree-rename-directory',
    title: 'a renamed directory is told with all that is in it, and watched at its new place',
    run: async (context) => {
      await context.write('a/b/c/f');
      await context.folders('z');
      const view = await context.watch();
      await rename(context.at('a/b'), context.at('z/y'));
      await view.tells('created z/y/c/f');
      expect(view.told).toEqual(['removed a/b/', 'created z/y/', 'created z/y/c/', 'created z/y/c/f']);
      await context.write('z/y/c/g');
      await view.tells('created z/y/c/g');
      await context.write('a/b/h');
      await view.tells('created a/b/h');
    },
  },
  {
    id: 'tree-rename-back',
    title: 'a directory that is renamed and renamed back is there',
    run: async (context) => {
      await context.write('a/b/f');
      const view = await context.watch();
      for (let round = 0; round < 20; round++) {
        await rename(context.at('a'), context.at('other'));
        await rename(context.at('other'), context.at('a'));
      }
      await context.write('a/b/g');
      await view.tells('created a/b/g');
      const last = new Map(
        view.changes.map((change) => [path.relative(context.root, change.path), change.kind]),
      );
      expect([last.get('a'), last.get('a/b'), last.get('a/b/f'), last.get('other')]).toEqual([
        'created',
        'created',
        'created',
        'removed',
      ]);
    },
  },
  {
    id: 'tree-directory-in',
    title: 'a directory from outside is told with all that is in it',
    run: async (context) => {
      const view = await context.watch();
      await mkdir(path.join(context.folder, 'x/y/z'), { recursive: true });
      await writeFile(path.join(context.folder, 'x/y/z/f'), '');
      await rename(path.join(context.folder, 'x'), context.at('x'));
      await view.tells('created x/y/z/f');
      expect(view.told).toEqual(['created x/', 'created x/y/', 'created x/y/z/', 'created x/y/z/f']);
    },
  },
  {
    id: 'tree-directory-out',
    title: 'nothing is told of a directory that has left, and its watches are given back',
    run: async (context) => {
      await context.folders('x/y/z');
      const client = await context.open();
      const pid = await context.pid(client);
      const view = await context.watch({}, client);
      await rename(context.at('x'), path.join(context.folder, 'x'));
      await writeFile(path.join(context.folder, 'x/y/f'), '');
      await context.fence(view);
      expect(view.told).toEqual(['removed x/']);
      // The root, and the directory above it.
      await context.hasWatches(pid, 2);
    },
  },
  {
    id: 'tree-chain',
    title: 'nothing is missed in directories that are made and filled at once',
    run: async (context) => {
      const view = await context.watch();
      const expected: string[] = [];
      for (let round = 0; round < 20; round++) {
        for (const folder of [`${round}`, `${round}/b`, `${round}/b/c`]) {
          await mkdir(context.at(folder));
          await writeFile(context.at(folder, 'f'), '');
          expected.push(`created ${folder}/`, `created ${folder}/f`);
        }
      }
      for (const text of expected) await view.tells(text);
      expect(new Set(view.told)).toEqual(new Set(expected));
      await context.write('7/b/c/later');
      await view.tells('created 7/b/c/later');
    },
  },
  {
    id: 'tree-remove-subtree',
    title: 'a subtree that is removed is told, and told again when it is there again',
    run: async (context) => {
      await context.write('a/b/c/f');
      await context.write('a/b/g');
      const view = await context.watch();
      await rm(context.at('a'), { recursive: true });
      await view.tells('removed a/');
      await context.fence(view);
      expect(view.told.at(-1)).toBe('removed a/');
      await context.write('a/b/again');
      await view.tells('created a/b/again');
    },
  },
  {
    id: 'tree-exclude',
    title: 'an excluded directory is told, and nothing that is in it',
    run: async (context) => {
      await context.folders('.git', 'a/node_modules/x');
      const view = await context.watch({ exclude: ['.git', 'node_modules'] });
      await context.write('.git/index');
      await context.write('a/node_modules/x/f');
      await context.write('b/node_modules/f');
      await view.tells('created b/node_modules/');
      await context.write('a/node_modules.txt');
      await context.fence(view);
      expect(view.told).toEqual(['created b/', 'created b/node_modules/', 'created a/node_modules.txt']);
    },
  },
  {
    id: 'tree-not-recursive',
    title: 'without recursion only the entries of the directory are told',
    run: async (context) => {
      await context.folders('a');
      const view = await context.watch({ recursive: false });
      await context.write('a/f');
      await context.write('b/f');
      await context.fence(view);
      expect(view.told).toEqual(['created b/']);
    },
  },
  {
    id: 'tree-links',
    title: 'a link is told, and what is behind it is not',
    run: async (context) => {
      await mkdir(path.join(context.folder, 'outside'));
      await symlink(path.join(context.folder, 'outside'), context.at('before'));
      const view = await context.watch();
      await symlink(path.join(context.folder, 'outside'), context.at('link'));
      await writeFile(path.join(context.folder, 'outside/f'), '');
      await context.fence(view);
      expect(view.told).toEqual(['created link']);
    },
  },
  {
    id: 'tree-root-link',
    title: 'a root that is a link is followed, and its paths are told as they were asked for',
    run: async (context) => {
      const link = path.join(context.folder, 'link');
      await symlink(context.root, link);
      const view = await context.watch({ path: link });
      await context.write('a/f');
      await view.tells('created a/f');
    },
  },
  {
    id: 'tree-file',
    title: 'a watched file is told through replacement and removal, and its neighbours are not',
    run: async (context) => {
      await context.write('f', 'one');
      const view = await context.watch({ path: context.at('f') });
      const all = await context.watch();
      await context.write('beside');
      await appendFile(context.at('f'), 'two');
      await context.fence(all);
      await view.tells('modified ');
      await context.write('.new');
      await rename(context.at('.new'), context.at('f'));
      await view.tells('created ');
      await unlink(context.at('f'));
      await view.tells('removed ');
      await context.write('f', 'again');
      await context.fence(all);
      await view.report('the second creation', (report) => report.cursor > 3);
      expect(view.told).toEqual(['modified ', 'created ', 'removed ', 'created ']);
    },
  },
  {
    id: 'tree-many',
    title: 'more changes than one report takes come in several',
    run: async (context) => {
      const view = await context.watch();
      for (let index = 0; index < 3000; index++) await writeFile(context.at(`${index}`), '');
      await context.fence(view);
      expect(view.told.length).toBe(3000);
      expect(Math.max(...view.reports.map((report) => report.changes.length))).toBeLessThanOrEqual(1000);
      expect(view.reports.filter((report) => report.resync)).toEqual([]);
    },
  },
];
