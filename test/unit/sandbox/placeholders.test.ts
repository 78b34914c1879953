import { chmod, lstat, mkdir, readdir, rename, rmdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { standsForMissing } from '../../../src/sandbox/placeholder-mark.ts';
import { type PlaceholderLease, Placeholders, removeLeftover } from '../../../src/sandbox/placeholders.ts';
import { openFilesIn, temporaryFolder } from '../../support/unit-folder.ts';

interface Arena extends AsyncDisposable {
  readonly folder: string;
  readonly at: (name: string) => Buffer;
  /** As another executor would have it. */
  readonly make: () => Placeholders;
  /** What was told, and what was there then. */
  readonly recorded: string[];
}

async function arena(): Promise<Arena> {
  const { path: folder, [Symbol.asyncDispose]: dispose } = await temporaryFolder();
  const recorded: string[] = [];
  const record = async (place: Buffer): Promise<void> => {
    recorded.push(`${place.toString()}, ${await kindOf(place)}`);
  };
  return {
    folder,
    recorded,
    at: (name) => Buffer.from(path.join(folder, name)),
    make: () => new Placeholders(record),
    [Symbol.asyncDispose]: async () => {
      expect(openFilesIn(folder)).toBe(0);
      await dispose();
    },
  };
}

async function kindOf(place: Buffer): Promise<'missing' | 'placeholder' | 'other'> {
  if ((await lstat(place).catch(() => undefined)) === undefined) return 'missing';
  return (await standsForMissing(place)) ? 'placeholder' : 'other';
}

async function leased(placeholders: Placeholders, place: Buffer): Promise<PlaceholderLease> {
  const lease = await placeholders.lease(place);
  if (typeof lease !== 'object') throw new Error(`There is no lease: ${lease}`);
  return lease;
}

describe('a placeholder', () => {
  it('is there as long as it is used, and was recorded before', async () => {
    await using place = await arena();
    const lease = await leased(place.make(), place.at('.git'));
    expect(await kindOf(place.at('.git'))).toBe('placeholder');
    expect((await lstat(place.at('.git'))).mode & 0o7777).toBe(0o1755);
    expect(place.recorded).toEqual([`${place.at('.git').toString()}, missing`]);
    await lease.release();
    expect(await readdir(place.folder)).toEqual([]);
  });

  it('is released once, however often that is said', async () => {
    await using place = await arena();
    const placeholders = place.make();
    const [first, second] = [
      await leased(placeholders, place.at('a')),
      await leased(placeholders, place.at('a')),
    ];
    await first.release();
    await first.release();
    expect(await kindOf(place.at('a'))).toBe('placeholder');
    await second.release();
    expect(await kindOf(place.at('a'))).toBe('missing');
  });

  it('is shared by all who ask at the same time, and goes with the last of them', async () => {
    await using place = await arena();
    const placeholders = place.make();
    const leases = await Promise.all(
      Array.from({ length: 20 }, async () => leased(placeholders, place.at('a'))),
    );
    expect(place.recorded).toHaveLength(1);
    for (const lease of leases) {
      expect(await kindOf(place.at('a'))).toBe('placeholder');
      await lease.release();
    }
    expect(await kindOf(place.at('a'))).toBe('missing');
  });

  it('is shared by executors, and the last of them removes it', async () => {
    await using place = await arena();
    const [one, other] = [place.make(), place.make()];
    const first = await leased(one, place.at('a'));
    const second = await leased(other, place.at('a'));
    await first.release();
    expect(await kindOf(place.at('a'))).toBe('placeholder');
    const third = await leased(one, place.at('a'));
    await second.release();
    expect(await kindOf(place.at('a'))).toBe('placeholder');
    await third.release();
    expect(await kindOf(place.at('a'))).toBe('missing');
  });

  it('survives that two executors take and give it all the time', async () => {
    await using place = await arena();
    const loop = async (placeholders: Placeholders): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        const lease = await placeholders.lease(place.at('a'));
        // Somebody may remove it between two looks, again and again.
        if (lease === 'changed') continue;
        expect(lease).toBeDefined();
        expect(await kindOf(place.at('a'))).toBe('placeholder');
        await lease?.release();
      }
    };
    await Promise.all([loop(place.make()), loop(place.make()), loop(place.make())]);
    expect(await kindOf(place.at('a'))).toBe('missing');
  });

  it('stays when somebody has put something into it', async () => {
    await using place = await arena();
    const lease = await leased(place.make(), place.at('a'));
    await writeFile(path.join(place.folder, 'a', 'kept'), '');
    await lease.release();
    expect(await readdir(path.join(place.folder, 'a'))).toEqual(['kept']);
  });

  it('is not confused with what took its name', async () => {
    await using place = await arena();
    const lease = await leased(place.make(), place.at('a'));
    await rename(place.at('a'), place.at('moved'));
    await mkdir(place.at('a'));
    await lease.release();
    expect((await readdir(place.folder)).toSorted()).toEqual(['a', 'moved']);
  });

  it('is given back with all others at the end', async () => {
    await using place = await arena();
    const placeholders = place.make();
    for (const name of ['a', 'b', 'c']) await leased(placeholders, place.at(name));
    await placeholders.dispose();
    expect(await readdir(place.folder)).toEqual([]);
  });
});

describe('something else in the place of it', () => {
  const others: readonly (readonly [string, (place: Buffer) => Promise<unknown>])[] = [
    ['a file', (place) => writeFile(place, '')],
    ['a directory', (place) => mkdir(place)],
    [
      'a directory with something in it that looks like one',
      async (place) => {
        await mkdir(place);
        await chmod(place, 0o1755);
        await writeFile(`${place.toString()}/x`, '');
      },
    ],
    ['a link', (place) => symlink('/tmp', place)],
    ['a link that leads nowhere', (place) => symlink('nowhere', place)],
  ];

  it.each(others)('is a change: %s', async (_what, make) => {
    await using place = await arena();
    await make(place.at('a'));
    const before = await lstat(place.at('a'));
    expect(await place.make().lease(place.at('a'))).toBe('changed');
    expect((await lstat(place.at('a'))).ino).toBe(before.ino);
  });

  it('can be tried again when it is gone', async () => {
    await using place = await arena();
    const placeholders = place.make();
    await mkdir(place.at('a'));
    expect(await placeholders.lease(place.at('a'))).toBe('changed');
    await rmdir(place.at('a'));
    await (await leased(placeholders, place.at('a'))).release();
  });

  it('is a change on the way to it, too: no link is followed', async () => {
    await using place = await arena();
    await mkdir(place.at('real'));
    await symlink('real', place.at('link'));
    expect(await place.make().lease(place.at('link/a'))).toBe('changed');
    expect(await place.make().lease(place.at('none/a'))).toBe('changed');
    expect(await readdir(place.at('real'))).toEqual([]);
  });
});

describe('a place where nothing can be made', () => {
  it('is a change where the directory that would hold it is going', async () => {
    // The kernel's answer for all that is made there.
    const gone = Buffer.from(`/proc/${process.pid}/a`);
    expect(await new Placeholders(async () => {}).lease(gone)).toBe('changed');
  });

  it('has none where it cannot be recorded, until it can', async () => {
    await using place = await arena();
    let broken = true;
    const placeholders = new Placeholders(async () => {
      if (broken) throw new Error('There is no room.');
    });
    await expect(placeholders.lease(place.at('a'))).rejects.toThrow('no room');
    expect(await kindOf(place.at('a'))).toBe('missing');
    broken = false;
    await (await leased(placeholders, place.at('a'))).release();
  });
});

describe('what a crash has left', () => {
  it('goes if it is still an empty placeholder', async () => {
    await using place = await arena();
    await mkdir(place.at('a'));
    await chmod(place.at('a'), 0o1755);
    await removeLeftover(place.at('a'));
    expect(await kindOf(place.at('a'))).toBe('missing');
    await removeLeftover(place.at('a'));
    await removeLeftover(place.at('none/a'));
  });

  it('stays while another executor uses it', async () => {
    await using place = await arena();
    const lease = await leased(place.make(), place.at('a'));
    await removeLeftover(place.at('a'));
    expect(await kindOf(place.at('a'))).toBe('placeholder');
    await lease.release();
  });

  it.each([
    ['an empty directory of somebody', async (at: string) => mkdir(at)],
    [
      'one that is in use by now',
      async (at: string) => {
        await mkdir(at);
        await chmod(at, 0o1755);
        await writeFile(`${at}/x`, '');
      },
    ],
    ['a file', async (at: string) => writeFile(at, '')],
    ['a link', async (at: string) => symlink('/', at)],
  ])('stays if it is %s', async (_what, make) => {
    await using place = await arena();
    await make(place.at('a').toString());
    await removeLeftover(place.at('a'));
    expect(await kindOf(place.at('a'))).not.toBe('missing');
  });
});
