import {
  appendFile,
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { planMounts } from '../../../src/sandbox/mounts.ts';
import { SandboxState } from '../../../src/sandbox/state.ts';
import { startHolder } from '../../support/sandbox-holder.ts';
import { rule } from '../../support/sandbox-rules.ts';
import { openFilesIn, temporaryFolder } from '../../support/unit-folder.ts';

interface Arena extends AsyncDisposable {
  readonly root: string;
  readonly workspace: string;
}

async function arena(): Promise<Arena> {
  const folder = await temporaryFolder();
  const workspace = path.join(folder.path, 'w');
  await mkdir(workspace);
  return {
    root: path.join(folder.path, 'state'),
    workspace,
    [Symbol.asyncDispose]: async () => {
      expect(openFilesIn(folder.path)).toBe(0);
      await folder[Symbol.asyncDispose]();
    },
  };
}

const modeOf = async (name: string): Promise<number> => (await lstat(name)).mode & 0o7777;

describe('the state directory', () => {
  it('is made, is nobody else’s business, and is left as it was found', async () => {
    await using place = await arena();
    const root = path.join(place.root, 'deeper');
    {
      await using state = await SandboxState.open(root);
      expect(state.directory.toString()).toBe(root);
      expect(await modeOf(root)).toBe(0o700);
      expect(await modeOf(state.deniedFile)).toBe(0);
      expect(await readFile(state.deniedFile, 'utf8').catch(() => '')).toBe('');
    }
    expect(await readdir(root)).toEqual([]);
  });

  it('is shared by executors, each with a part of its own', async () => {
    await using place = await arena();
    await using first = await SandboxState.open(place.root);
    await using second = await SandboxState.open(place.root);
    expect(first.deniedFile).not.toBe(second.deniedFile);
    expect(await readdir(place.root)).toHaveLength(2);
  });

  it('leaves executors what they need that start while others do', async () => {
    await using place = await arena();
    await using _other = await startHolder(place.root, []);
    const startAndEnd = async (): Promise<void> => {
      for (let round = 0; round < 20; round++) {
        await using state = await SandboxState.open(place.root);
        expect(await modeOf(state.deniedFile)).toBe(0);
      }
    };
    await Promise.all(Array.from({ length: 12 }, startAndEnd));
    expect(await readdir(place.root)).toHaveLength(1);
  });

  it.each([
    ['others can write to', async (root: string) => mkdir(root).then(() => chmod(root, 0o777))],
    ['others can look into', async (root: string) => mkdir(root).then(() => chmod(root, 0o750))],
    ['leads elsewhere', async (root: string) => symlink('w', root)],
    ['is a file', async (root: string) => writeFile(root, '', { mode: 0o600 })],
  ])('is refused where it %s', async (_what, make) => {
    await using place = await arena();
    await make(place.root);
    const what = await lstat(place.root);
    const failure: unknown = await SandboxState.open(place.root).catch((error: unknown) => error);
    expect(String(failure)).toContain(place.root);
    expect(await readdir(place.workspace)).toEqual([]);
    expect((await lstat(place.root)).ino).toBe(what.ino);
  });

  it('is refused where it is somebody else’s', async () => {
    await using place = await arena();
    // Only root can make such a directory, and only for others is there one.
    const isRoot = process.getuid?.() === 0;
    const root = isRoot ? place.root : '/usr';
    if (isRoot) {
      await mkdir(root, { mode: 0o700 });
      await chown(root, 65_534, 65_534);
    }
    const before = await readdir(root);
    await expect(SandboxState.open(root)).rejects.toThrow('must be a directory of this user');
    expect(await readdir(root)).toEqual(before);
  });

  it('is to be hidden where a sandbox would show it', async () => {
    await using place = await arena();
    await using state = await SandboxState.open(place.root);
    const parent = path.dirname(place.root);
    const sees = (...rules: string[]): boolean => state.visibleIn(planMounts(rules.map((one) => rule(one))));
    expect(sees('/:read')).toBe(true);
    expect(sees('/:write')).toBe(true);
    expect(sees(`${parent}:read`)).toBe(true);
    expect(sees(`${parent}:write`)).toBe(true);
    expect(sees(`${place.root}:read`)).toBe(true);
    expect(sees()).toBe(false);
    expect(sees('/usr:read', `${place.workspace}:write`)).toBe(false);
  });
});

describe('what an executor leaves behind', () => {
  it('is nothing, when it ends', async () => {
    await using place = await arena();
    {
      await using state = await SandboxState.open(place.root);
      expect(await state.placeholder(Buffer.from(`${place.workspace}/.git`))).toBeTypeOf('object');
      expect(await readdir(place.workspace)).toEqual(['.git']);
    }
    expect(await readdir(place.workspace)).toEqual([]);
  });

  it('is removed by the next one, when it was killed', async () => {
    await using place = await arena();
    const names = ['.git', '.codex', 'with\nnewline'].map((name) => path.join(place.workspace, name));
    await using holder = await startHolder(place.root, names);
    {
      await using _state = await SandboxState.open(place.root);
      // It lives: what it uses stays.
      expect(await readdir(place.workspace)).toHaveLength(3);
      expect(await readdir(place.root)).toHaveLength(2);
    }
    await holder.kill();
    expect(await readdir(place.workspace)).toHaveLength(3);
    await using _next = await SandboxState.open(place.root);
    expect(await readdir(place.workspace)).toEqual([]);
    expect(await readdir(place.root)).toHaveLength(1);
  });

  it('stays where it has become something of somebody', async () => {
    await using place = await arena();
    const at = (name: string): string => path.join(place.workspace, name);
    await using holder = await startHolder(place.root, [at('filled'), at('shared'), at('plain'), at('gone')]);
    await holder.kill();
    await writeFile(path.join(at('filled'), 'x'), '');
    await chmod(at('shared'), 0o1777);
    await chmod(at('plain'), 0o755);
    await using _next = await SandboxState.open(place.root);
    expect((await readdir(place.workspace)).toSorted()).toEqual(['filled', 'plain', 'shared']);
  });

  it('stays while another executor uses it, which removes it later', async () => {
    await using place = await arena();
    const at = path.join(place.workspace, '.git');
    await using holder = await startHolder(place.root, [at]);
    await using survivor = await SandboxState.open(place.root);
    const lease = await survivor.placeholder(Buffer.from(at));
    if (typeof lease !== 'object') throw new Error('There is no lease.');
    await holder.kill();
    await using _next = await SandboxState.open(place.root);
    expect(await readdir(place.workspace)).toEqual(['.git']);
    await lease.release();
    expect(await readdir(place.workspace)).toEqual([]);
  });

  it('is taken over by one that needs the same, and removed by it', async () => {
    await using place = await arena();
    const at = path.join(place.workspace, '.git');
    await using living = await SandboxState.open(place.root);
    await using holder = await startHolder(place.root, [at]);
    await holder.kill();
    const lease = await living.placeholder(Buffer.from(at));
    if (typeof lease !== 'object') throw new Error('There is no lease.');
    await lease.release();
    expect(await readdir(place.workspace)).toEqual([]);
  });

  it('is looked at with care: records of nonsense remove nothing', async () => {
    await using place = await arena();
    await mkdir(path.join(place.root, 'dead'), { recursive: true });
    await chmod(place.root, 0o700);
    const lock = await open(path.join(place.root, 'dead', 'lock'), 'w');
    await lock.close();
    const lines = [
      '',
      'L3RtcA==',
      Buffer.from(place.workspace).toString('base64'),
      '!!',
      'cmVsYXRpdmU=',
      'Lw==',
    ];
    await appendFile(path.join(place.root, 'dead', 'placeholders'), lines.join('\n'));
    await using _state = await SandboxState.open(place.root);
    expect(await readdir(place.workspace)).toEqual([]);
    expect(await readdir(place.root)).toHaveLength(1);
  });
});
