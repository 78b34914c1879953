import { mkdir, open, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from 'vitest';

import { limits } from '../../../src/protocol/limits.ts';
import type { WatchCase } from './suite.ts';
import { unenforceable } from '../../support/sandbox-profiles.ts';

/** How a watch begins and ends, and what it refuses. */
export const lifeCases: readonly WatchCase[] = [
  {
    id: 'life-answer-first',
    title: 'the answer comes before the first report, and nothing of before is told',
    run: async (context) => {
      await context.write('before');
      for (let round = 0; round < 10; round++) {
        const { answers, texts } = context.client;
        const view = await context.watch();
        await context.write(`f${round}`);
        await view.tells(`created f${round}`);
        const answer = answers.at(-1)?.index ?? Infinity;
        expect(texts.findIndex((text) => text.includes(`"watchId":"${view.id}"`))).toBeGreaterThan(answer);
        expect(view.told).toEqual([`created f${round}`]);
      }
    },
  },
  {
    id: 'life-two',
    title: 'two watches of one tree tell the same, and the end of one leaves the other alone',
    run: async (context) => {
      await context.folders('a/b');
      const other = await context.open();
      const views = [await context.watch(), await context.watch(), await context.watch({}, other)];
      await context.write('a/b/f');
      for (const view of views) await view.tells('created a/b/f');
      const [ended, ...rest] = views;
      if (ended !== undefined) await context.unwatch(ended);
      await context.write('a/b/g');
      for (const view of rest) await view.tells('created a/b/g');
      expect(ended?.told).toEqual(['created a/b/f']);
    },
  },
  {
    id: 'life-unwatch',
    title: 'a watch that was ended tells nothing more, and its id is free',
    run: async (context) => {
      const view = await context.watch({ watchId: 'same' });
      await context.unwatch(view);
      await context.write('f');
      const before = view.reports.length;
      const again = await context.watch({ watchId: 'same' });
      await context.write('g');
      await context.client.waitFor('g', () =>
        context.client.texts.some((text) => text.includes('/root/g"')) ? true : undefined,
      );
      expect(before).toBe(0);
      expect(again.told).toEqual(['created g']);
    },
  },
  {
    id: 'life-unwatch-unknown',
    title: 'the end of a watch that is not there is no error',
    run: async (context) => {
      expect(await context.client.call('fs/unwatch', { watchId: 'nobody' })).toEqual({});
    },
  },
  {
    id: 'life-leaks',
    title: 'watches are given back at their end, the descriptor with the last one',
    run: async (context) => {
      await context.folders('a/b', 'c');
      const client = await context.open();
      const pid = await context.pid(client);
      const [one, two] = [
        await context.watch({}, client),
        await context.watch({ path: context.at('a') }, client),
      ];
      // The root, three directories in it, the one above.
      await context.hasWatches(pid, 5);
      await context.unwatch(one);
      await context.hasWatches(pid, 3);
      await context.unwatch(two);
      await context.hasWatches(pid, undefined);
    },
  },
  {
    id: 'life-connection-end',
    title: 'the watches of a connection end with it',
    run: async (context) => {
      await context.folders('a/b');
      const other = await context.open();
      const pid = await context.pid();
      const otherPid = await context.pid(other);
      await context.watch({}, other);
      await context.hasWatches(otherPid, 4);
      other.transport.close({ kind: 'normal', message: 'done' });
      await other.closed;
      // Over stdio it was an executor of its own, which ends, too.
      if (otherPid === pid) await context.hasWatches(pid, undefined);
    },
  },
  {
    id: 'life-root-removed',
    title: 'a root that is removed ends the watch with a resync, and the id is free',
    run: async (context) => {
      const view = await context.watch();
      await rm(context.root, { recursive: true });
      const last = await view.report('the end', (report) => report.ended === true);
      expect(last).toMatchObject({ changes: [], resync: true, ended: true, reason: 'removed' });
      await mkdir(context.root);
      const again = await context.watch({ watchId: view.id });
      expect(again.id).toBe(view.id);
    },
  },
  {
    id: 'life-root-removed-open',
    title: 'a root that is removed while somebody has it open ends the watch, too',
    run: async (context) => {
      const view = await context.watch();
      await using _held = await open(context.root);
      await rmdir(context.root);
      await mkdir(context.root);
      const last = await view.report('the end', (report) => report.ended === true);
      expect(last).toMatchObject({ resync: true, reason: 'removed' });
    },
  },
  {
    id: 'life-root-moved',
    title: 'a root that is renamed ends the watch with a resync',
    run: async (context) => {
      const client = await context.open();
      const pid = await context.pid(client);
      const view = await context.watch({}, client);
      await rename(context.root, path.join(context.folder, 'elsewhere'));
      const last = await view.report('the end', (report) => report.ended === true);
      expect(last).toMatchObject({ resync: true, reason: 'moved' });
      await context.hasWatches(pid, undefined);
    },
  },
  {
    id: 'life-above-moved',
    title: 'a watch whose root moved with a directory far above ends when it is noticed',
    run: async (context) => {
      const root = context.at('far/above/root');
      await mkdir(root, { recursive: true });
      const view = await context.watch({ path: root });
      await rename(context.at('far'), context.at('gone'));
      await mkdir(context.at('gone/above/root/new'));
      const last = await view.report('the end', (report) => report.ended === true);
      expect(last).toMatchObject({ resync: true, reason: 'removed' });
    },
  },
  {
    id: 'life-too-many',
    title: 'one watch more than a connection may have is refused, and leaves nothing',
    run: async (context) => {
      const client = await context.open();
      const pid = await context.pid(client);
      for (let count = 0; count < limits.watches; count++)
        await context.watch({ watchId: `${count}` }, client);
      const error = await client.refused('fs/watch', { watchId: 'more', path: context.root });
      expect(error).toMatchObject({ code: -32011, message: expect.stringContaining(`${limits.watches}`) });
      await client.call('fs/unwatch', { watchId: '0' });
      await context.watch({ watchId: 'more' }, client);
      for (let count = 1; count < limits.watches; count++)
        await client.call('fs/unwatch', { watchId: `${count}` });
      await client.call('fs/unwatch', { watchId: 'more' });
      await context.hasWatches(pid, undefined);
    },
  },
  ...(
    [
      ['a path that is not there', { path: '/does/not/exist' }, -32004],
      ['a path below a file', { path: '/proc/version/x' }, -32603],
      ['a relative path', { path: 'relative' }, -32602],
      ['a sandbox that cannot be', { sandbox: unenforceable }, -32600],
      ['an id that is empty', { watchId: '' }, -32602],
      ['an id that is too long', { watchId: 'x'.repeat(limits.watchIdLength + 1) }, -32602],
      ['too many exclusions', { exclude: Array(limits.watchExcludes + 1).fill('x') }, -32602],
      ['exclusions that are no list', { exclude: '.git' }, -32602],
    ] as const
  ).map(([what, options, code]): WatchCase => ({
    id: `life-refuses-${what.split(' ').slice(-2).join('-')}`,
    title: `${what} is refused, and nothing is watched`,
    run: async (context) => {
      const client = await context.open();
      const error = await client.refused('fs/watch', { watchId: 'w', path: context.root, ...options });
      expect(error.code).toBe(code);
      await context.hasWatches(await context.pid(client), undefined);
    },
  })),
  {
    id: 'life-refuses-twice',
    title: 'an id that is in use is refused, and its watch goes on',
    run: async (context) => {
      const view = await context.watch();
      const error = await context.client.refused('fs/watch', { watchId: view.id, path: context.root });
      expect(error).toMatchObject({ code: -32600, message: expect.stringContaining('already exists') });
      await writeFile(context.at('f'), '');
      await view.tells('created f');
    },
  },
  {
    id: 'life-unconfined',
    title: 'a sandbox of type disabled is no sandbox',
    run: async (context) => {
      const view = await context.watch({ sandbox: { permissions: { type: 'disabled' } } });
      await context.write('f');
      await view.tells('created f');
    },
  },
];
