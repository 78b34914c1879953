import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSpillFile, removeStaleSpills } from '../../../src/process/spill-file.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'spill-file-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('a spill file', () => {
  it('has no name, and holds what is written', async () => {
    const file = await openSpillFile(folder);
    expect(await readdir(folder)).toEqual([]);
    await file.write(Buffer.from('content'), 0, 7, 0);
    const { buffer } = await file.read(Buffer.alloc(7), 0, 7, 0);
    expect(buffer.toString()).toBe('content');
    await file.close();
  });

  it('is opened while another executor removes what it takes for left behind', async () => {
    const rounds = Array.from({ length: 200 }, async () => {
      const [file] = await Promise.all([openSpillFile(folder), removeStaleSpills(folder)]);
      await file.close();
    });
    await Promise.all(rounds);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('removeStaleSpills', () => {
  it('removes what a killed executor has left, and nothing else', async () => {
    const others = [
      'exec-server-journal-',
      'exec-server-journal-mine',
      `x-exec-server-journal-${randomUUID()}`,
    ];
    for (const name of others) await writeFile(path.join(folder, name), '');
    const directory = `exec-server-journal-${randomUUID()}`;
    await mkdir(path.join(folder, directory));
    await writeFile(path.join(folder, `exec-server-journal-${randomUUID()}`), 'left');
    await removeStaleSpills(folder);
    expect((await readdir(folder)).sort()).toEqual([...others, directory].sort());
  });

  it('does not mind a folder that is not there', async () => {
    await removeStaleSpills(path.join(folder, 'missing'));
  });
});
