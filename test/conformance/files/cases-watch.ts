import { appendFile, mkdir, rename, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';

import type { WireClient } from '../../support/conformance-wire.ts';
import type { FileCase, FileContext } from './case.ts';

let watches = 0;

export const watchCases: readonly FileCase[] = [
  {
    id: 'watch-appears',
    title: 'A missing path that appears is told once, and what appears later is not',
    run: async (context) => {
      const { client, watch } = await start(context);
      const id = await watch(['missing', 'later']);
      await writeFile(context.tree.path('missing'), '');
      await told(client, id);
      await writeFile(context.tree.path('later'), '');
      const next = await watch(['last']);
      await writeFile(context.tree.path('last'), '');
      await told(client, next);
      expect(changes(client)).toEqual([id, next]);
    },
  },
  {
    id: 'watch-chain',
    title: 'A path whose parents are missing, too, is told when it appears',
    run: async (context) => {
      const { client, watch } = await start(context);
      const id = await watch(['a/b/c/file']);
      for (const folder of ['a', 'a/b', 'a/b/c']) await mkdir(context.tree.path(folder));
      await writeFile(context.tree.path('a/b/c/file'), '');
      await told(client, id);
    },
  },
  {
    id: 'watch-chain-moved',
    title: 'A path is told that appears with its parents by a rename',
    run: async (context) => {
      const { client, watch } = await start(context);
      await mkdir(context.tree.path('ready/b'), { recursive: true });
      await writeFile(context.tree.path('ready/b/file'), '');
      const id = await watch(['a/b/file']);
      await rename(context.tree.path('ready'), context.tree.path('a'));
      await told(client, id);
    },
  },
  {
    id: 'watch-chain-again',
    title: 'A path is told whose parents went and came again',
    run: async (context) => {
      const { client, watch } = await start(context);
      await mkdir(context.tree.path('a/b'), { recursive: true });
      const id = await watch(['a/b/file']);
      await rm(context.tree.path('a'), { recursive: true });
      await mkdir(context.tree.path('a/b'), { recursive: true });
      await writeFile(context.tree.path('a/b/file'), '');
      await told(client, id);
    },
  },
  {
    id: 'watch-dangling-appears',
    title: 'A dangling link is something that appears',
    run: async (context) => {
      const { client, watch } = await start(context);
      const id = await watch(['missing']);
      await symlink('nowhere', context.tree.path('missing'));
      await told(client, id);
    },
  },
  {
    id: 'watch-present-vanishes',
    title: 'The end of the present path is told',
    run: async (context) => {
      const { client, watch } = await start(context);
      const id = await watch(['missing'], 'file');
      await unlink(context.tree.path('file'));
      await told(client, id);
    },
  },
  ...(
    [
      ['appended', async (file: string) => appendFile(file, 'more')],
      ['overwritten', async (file: string) => writeFile(file, 'HELLO\n')],
      ['touched', async (file: string) => utimes(file, 1, 2)],
      [
        'replaced',
        async (file: string) => {
          await writeFile(`${file}.new`, 'other');
          await rename(`${file}.new`, file);
        },
      ],
    ] as const
  ).map(([how, change]): FileCase => ({
    id: `watch-present-${how}`,
    title: `The present path is told when it is ${how}`,
    run: async (context) => {
      const { client, watch } = await start(context);
      const id = await watch(['missing'], 'file');
      await change(context.tree.path('file'));
      await told(client, id);
    },
  })),
  {
    id: 'watch-present-stays',
    title: 'What happens beside the present path is not told',
    run: async (context) => {
      const { client, watch } = await start(context);
      await watch(['missing'], 'file');
      await writeFile(context.tree.path('beside'), '');
      await unlink(context.tree.path('other'));
      const next = await watch(['last'], 'file');
      await writeFile(context.tree.path('last'), '');
      await told(client, next);
      expect(changes(client)).toEqual([next]);
    },
  },
  {
    id: 'watch-replaced',
    title: 'A new watch replaces the one before',
    run: async (context) => {
      const { client, watch } = await start(context);
      await watch(['first']);
      const id = await watch(['second']);
      await writeFile(context.tree.path('first'), '');
      await writeFile(context.tree.path('second'), '');
      await told(client, id);
      expect(changes(client)).toEqual([id]);
    },
  },
  {
    id: 'watch-ended',
    title: 'A watch for nothing ends the one before',
    run: async (context) => {
      const { client, watch } = await start(context);
      await watch(['first']);
      const none = await client.call('fs/watchMissing', { watchId: ++watches, missing: [] });
      expect(none).toEqual({ watching: false });
      await writeFile(context.tree.path('first'), '');
      const id = await watch(['second']);
      await writeFile(context.tree.path('second'), '');
      await told(client, id);
      expect(changes(client)).toEqual([id]);
    },
  },
  {
    id: 'watch-order',
    title: 'The answer comes before what it announces',
    run: async (context) => {
      const { client } = await start(context);
      for (let round = 0; round < 20; round++) {
        const watchId = ++watches;
        const request = client.request('fs/watchMissing', {
          watchId,
          missing: [context.uri(`racing-${round}`)],
        });
        await writeFile(context.tree.path(`racing-${round}`), '');
        const answer = await request;
        const { watching } = answer.result as { watching: boolean };
        if (watching) expect(await told(client, watchId)).toBeGreaterThan(answer.index);
      }
    },
  },
  {
    id: 'watch-many',
    title: 'One of a thousand paths in one directory is told once',
    run: async (context) => {
      const { client, watch } = await start(context);
      const id = await watch(Array.from({ length: 1000 }, (_one, index) => `dir/missing-${index}`));
      await writeFile(context.tree.path('dir/missing-777'), '');
      await told(client, id);
      await writeFile(context.tree.path('dir/missing-778'), '');
      const next = await watch(['last']);
      await writeFile(context.tree.path('last'), '');
      await told(client, next);
      expect(changes(client)).toEqual([id, next]);
    },
  },
  {
    id: 'watch-crowded',
    title: 'A path in a directory with many entries is told',
    run: async (context) => {
      const { client, watch } = await start(context);
      for (let index = 0; index < 1000; index++) await writeFile(context.tree.path(`dir/entry-${index}`), '');
      const id = await watch(['dir/missing']);
      await writeFile(context.tree.path('dir/missing'), '');
      await told(client, id);
    },
  },
  {
    id: 'watch-apart',
    title: 'Watches of two connections have nothing to do with each other',
    over: 'shared',
    run: async (context) => {
      const one = await start(context);
      const two = await start(context);
      const ofOne = await one.watch(['first']);
      const ofTwo = await two.watch(['second']);
      await writeFile(context.tree.path('first'), '');
      await writeFile(context.tree.path('second'), '');
      await Promise.all([told(one.client, ofOne), told(two.client, ofTwo)]);
      expect([changes(one.client), changes(two.client)]).toEqual([[ofOne], [ofTwo]]);
    },
  },
];

interface Watching {
  readonly client: WireClient;
  /** Watches for paths below the tree and answers the id of the watch. */
  readonly watch: (missing: readonly string[], present?: string) => Promise<number>;
}

/** A connection of its own: each has one watch. */
async function start(context: FileContext): Promise<Watching> {
  await context.fill();
  const client = await context.open();
  return {
    client,
    watch: async (missing, present) => {
      const watchId = ++watches;
      const { watching } = await client.call('fs/watchMissing', {
        watchId,
        missing: missing.map((name) => context.uri(name)),
        ...(present !== undefined && { present: context.uri(present) }),
      });
      expect(watching).toBe(true);
      return watchId;
    },
  };
}

/** Waits until the watch is told, and answers the place of that among all messages. */
async function told(client: WireClient, watchId: number): Promise<number> {
  return client.waitFor(`fs/missingChanged ${watchId}`, () => {
    const index = client.texts.findIndex((text) => changeOf(text) === watchId);
    return index < 0 ? undefined : index;
  });
}

function changes(client: WireClient): number[] {
  return client.texts.map(changeOf).filter((id) => id !== undefined);
}

function changeOf(text: string): number | undefined {
  const { method, params } = JSON.parse(text) as { method?: string; params?: { watchId: number } };
  return method === 'fs/missingChanged' ? params?.watchId : undefined;
}
