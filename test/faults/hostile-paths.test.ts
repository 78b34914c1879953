import {
  chownSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomUUID } from 'node:crypto';

import { describe, expect, test } from 'vitest';

import { errorCodes } from '../../src/protocol/errors.ts';
import type { WireClient } from '../support/conformance-wire.ts';
import { Chance } from '../support/faults-random.ts';
import { asNobody, startPrefixed } from '../support/files-session.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { type HostilePath, hostilePath, isBelow } from '../support/transfer-hostile-paths.ts';
import { differences, makeTree, removeTree, snapshotOf } from '../support/transfer-trees.ts';

/** EXEC_SERVER_FAULTS_SEED makes other paths. */
const SEED = Number(process.env['EXEC_SERVER_FAULTS_SEED'] ?? 20_261_120);
const PATHS = 5_000;
/** Paths after which the directory is made anew: much in it is gone by then. */
const ROUND = 50;
const NOBODY = 65_534;
const documented: readonly number[] = Object.values(errorCodes);

/** A directory for hostile paths, and beside it a tree that the same user may change and that must stay. */
class Fixture implements Disposable {
  readonly folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'exec-paths-')));
  readonly inside = path.join(this.folder, 'inside');
  readonly #sentinel = path.join(this.folder, 'sentinel');
  readonly #before: Map<string, string>;

  constructor() {
    makeTree(this.#sentinel, [
      { name: 'f', mode: 0o666, timeMs: 1_700_000_000_001, content: 'must stay' },
      { name: 'sub/', mode: 0o777, timeMs: 1_700_000_000_002 },
      { name: 'sub/f', mode: 0o666, timeMs: 1_700_000_000_003, content: 'must stay' },
    ]);
    chmodSync(this.#sentinel, 0o777);
    chmodSync(this.folder, 0o777);
    this.reset();
    this.#before = this.#look();
  }

  reset(): void {
    removeTree(this.inside);
    for (const name of ['', 'a', 'b', 'sub']) mkdirSync(path.join(this.inside, name));
    for (const name of ['f', 'a/f', 'sub/f']) writeFileSync(path.join(this.inside, name), 'may change');
    symlinkSync('../sentinel', path.join(this.inside, 'out'));
    symlinkSync('../../sentinel', path.join(this.inside, 'sub', 'out'));
    for (const name of ['', 'a', 'b', 'sub', 'f', 'a/f', 'sub/f'])
      chownSync(path.join(this.inside, name), NOBODY, NOBODY);
  }

  look(): Map<string, string> {
    return snapshotOf(this.inside, { root: true });
  }

  /** What has changed outside. */
  problems(): string[] {
    return differences(this.#before, this.#look());
  }

  [Symbol.dispose](): void {
    removeTree(this.folder);
  }

  #look(): Map<string, string> {
    const found = snapshotOf(this.#sentinel, { links: true, root: true });
    found.set('..', `${readdirSync(this.folder).sort().join()} ${lstatSync(this.folder).mode}`);
    return found;
  }
}

/** Something on the way to what is named is a link out of the directory, which methods without `followSymlinks` follow. */
function leadsThroughLink({ names }: HostilePath): boolean {
  return names === undefined || names.toString('latin1').split('/').includes('out');
}

interface Operation {
  readonly method: string;
  readonly follows: boolean;
  params(path: string, inside: string, chance: Chance): object;
  /** What gives up what it has opened. */
  readonly close?: string;
}

const data = Buffer.from('hostile').toString('base64');
const followSymlinks = false;

const operations: readonly Operation[] = [
  {
    method: 'fs/writeFile',
    follows: false,
    params: (path, _inside, chance) => ({
      path,
      dataBase64: data,
      followSymlinks,
      atomic: chance.below(2) === 0,
      createParents: chance.below(2) === 0,
    }),
  },
  {
    method: 'fs/createDirectory',
    follows: false,
    params: (path, _inside, chance) => ({ path, followSymlinks, recursive: chance.below(2) === 0 }),
  },
  {
    method: 'fs/remove',
    follows: false,
    params: (path, _inside, chance) => ({ path, followSymlinks, recursive: chance.below(2) === 0 }),
  },
  {
    method: 'fs/setMetadata',
    follows: false,
    params: (path) => ({ path, followSymlinks, mode: 0o700, modifiedAtMs: 5 }),
  },
  { method: 'fs/truncate', follows: false, params: (path) => ({ path, followSymlinks, size: 3 }) },
  {
    method: 'fs/open',
    follows: false,
    close: 'fs/close',
    params: (path) => ({ path, followSymlinks, mode: 'replace', handleId: 'h' }),
  },
  {
    method: 'fs/upload',
    follows: false,
    close: 'stream/cancel',
    params: (path, _inside, chance) => ({
      path,
      followSymlinks,
      streamId: 's',
      atomic: chance.below(2) === 0,
      createParents: chance.below(2) === 0,
    }),
  },
  {
    method: 'fs/extract',
    follows: true,
    close: 'stream/cancel',
    params: (path) => ({ path, streamId: 's' }),
  },
  {
    method: 'fs/copy',
    follows: true,
    params: (path, inside) => ({ sourcePath: `${inside}/a`, destinationPath: path, recursive: true }),
  },
  {
    method: 'fs/rename',
    follows: true,
    params: (path, inside, chance) =>
      chance.below(2) === 0
        ? { sourcePath: `${inside}/a/f`, destinationPath: path }
        : { sourcePath: path, destinationPath: `${inside}/moved` },
  },
  { method: 'fs/createSymlink', follows: true, params: (path) => ({ path, target: 'f' }) },
];

/** One that names nothing outside by the rules. */
function choose(chance: Chance, operation: Operation, inside: string): HostilePath {
  for (;;) {
    const path = hostilePath(chance, inside);
    if (path.names === undefined) return path;
    if (isBelow(path.names, inside) && !(operation.follows && leadsThroughLink(path))) return path;
  }
}

async function attempt(client: WireClient, fixture: Fixture, chance: Chance): Promise<'done' | 'refused'> {
  const operation = chance.pick(operations);
  const hostile = choose(chance, operation, fixture.inside);
  const params = operation.params(hostile.text, fixture.inside, chance);
  const fail = (problem: string): Error =>
    new Error(`${problem}\n${operation.method} ${JSON.stringify(params).slice(0, 2000)}`);
  const before = hostile.names === undefined ? fixture.look() : undefined;
  const { error } = await client.request(operation.method, params);
  if (operation.close !== undefined)
    await client.call(
      operation.close as 'fs/close',
      { handleId: 'h', streamId: 's' } as { handleId: string },
    );
  const outside = fixture.problems();
  if (outside.length > 0) throw fail(outside.join('\n'));
  if (error !== undefined && !documented.includes(error.code)) throw fail(`the code is ${error.code}`);
  if (error?.message.includes('its log has the cause')) throw fail('the executor itself has failed');
  if (before !== undefined) {
    if (error?.code !== errorCodes.invalidRequest && error?.code !== errorCodes.invalidParams)
      throw fail(`what is no path was answered with ${JSON.stringify(error)}`);
    const changed = differences(before, fixture.look());
    if (changed.length > 0) throw fail(changed.join('\n'));
  }
  return error === undefined ? 'done' : 'refused';
}

describe.skipIf(process.getuid?.() !== 0)(`hostile paths (seed ${SEED})`, () => {
  test(`change nothing but what they name, all ${PATHS}`, async () => {
    using fixture = new Fixture();
    const mark = randomUUID();
    {
      await using executor = await startPrefixed('stdio', asNobody(), mark);
      const seen = { done: 0, refused: 0 };
      for (let number = 0; number < PATHS; number++) {
        if (number % ROUND === 0) fixture.reset();
        const chance = new Chance(SEED, number);
        try {
          seen[await attempt(executor.client, fixture, chance)] += 1;
        } catch (cause) {
          throw new Error(`seed ${SEED}, path ${number}: ${String(cause)}`, { cause });
        }
      }
      expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(PATHS / 20);
      expect(executor.client.allProblems()).toEqual([]);
    }
    await expectNothingLeft(mark);
  });
});
