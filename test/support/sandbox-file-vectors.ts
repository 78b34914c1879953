import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';

import { toFileUri } from '../../src/protocol/path.ts';
import type { Enforcer } from './sandbox-arena.ts';
import { expand } from './sandbox-fixture.ts';
import {
  type User,
  type VectorRun,
  expressible,
  refusalOf,
  stateOf,
  vectorCases,
} from './sandbox-vector-cases.ts';
import { type Vector, pathOf, sandboxOf } from './sandbox-vectors.ts';

const written = Buffer.from('written');

/** The operations by the methods that clients use for them. */
async function perform({ vector, places, client }: VectorRun, form: 'uri' | 'plain'): Promise<unknown> {
  const wire = (path: string): string => (form === 'uri' ? toFileUri(path) : path);
  const path = wire(pathOf(vector, places));
  const sandbox = sandboxOf(vector, places, form);
  switch (vector.operation) {
    case 'read':
      return client.call('fs/readFile', { path, sandbox });
    case 'write':
      return client.call('fs/writeFile', { path, dataBase64: written.toString('base64'), sandbox });
    case 'remove':
      return client.call('fs/remove', { path, sandbox });
    case 'mkdir':
      return client.call('fs/createDirectory', { path, sandbox });
    case 'list':
      return client.call('fs/readDirectory', { path, sandbox });
    case 'copy':
      return client.call('fs/copy', {
        sourcePath: path,
        destinationPath: wire(expand(vector.to ?? '', places)),
        recursive: false,
        sandbox,
      });
  }
}

const codes = {
  EROFS: [-32603, 30],
  EACCES: [-32600, 13],
  ENOENT: [-32004, 2],
  EBUSY: [-32603, 16],
} as const;

/** A read in something that is denied; where nothing is granted, so that nothing is there. What is left is a write to what is read-only. */
const inDenied = new Set([10, 51, 52, 56, 58, 66, 67, 68]);
const notGranted = new Set([42, 45, 48, 80]);

function denialOf({ number, operation }: Vector, enforcer: Enforcer): keyof typeof codes {
  if (inDenied.has(number)) return 'EACCES';
  if (notGranted.has(number)) return 'ENOENT';
  // By Landlock nothing is put in the place of what is not granted.
  if (number === 44 && enforcer === 'landlock') return 'ENOENT';
  // What is mounted on stays: a denied file, and the workspace with its metadata, which has lost the rest by then.
  return enforcer === 'bubblewrap' && operation === 'remove' && (number === 59 || number === 30)
    ? 'EBUSY'
    : 'EROFS';
}

/** Without an entry for the root there may be no rule that is about a path. */
const withoutRule = new Set([42, 44, 45, 80]);

async function runFileVector(run: VectorRun, form: 'uri' | 'plain'): Promise<void> {
  const { vector, places, enforcer } = run;
  const path = pathOf(vector, places);
  const target =
    vector.to === undefined ? path.replace(/^\/proc\/self\/root/, '') : expand(vector.to, places);
  const before = await stateOf(target);
  const { expected } = vector;
  if (typeof expected === 'object') {
    const { code, data } = await refusalOf(perform(run, form));
    expect(code).toBe(expected.refused[form === 'uri' ? 0 : 1]);
    expect(data).toMatchObject({ sandbox: { refused: true } });
    expect(await stateOf(target)).toBe(before);
    return;
  }
  if (enforcer === 'landlock' && !expressible(vector)) {
    const { code, data } = await refusalOf(perform(run, form));
    expect(code).toBe(-32600);
    expect(data).toMatchObject({ sandbox: { refused: true, rule: expect.stringMatching(/^entry \d/) } });
    expect(await stateOf(target)).toBe(before);
    return;
  }
  if (expected === 'denied') {
    const error = await refusalOf(perform(run, form));
    const [code, errno] = codes[denialOf(vector, enforcer)];
    expect(`${error.code} ${error.message}`).toMatch(new RegExp(`^${code} .*\\(os error ${errno}\\)$`));
    const rule = withoutRule.has(vector.number)
      ? null
      : expect.stringMatching(/^(entry \d|protected metadata \/|minimal )/);
    expect(error.data).toEqual({ sandbox: { access: expect.stringMatching(/^(read|none)$/), rule } });
    expect(await stateOf(target)).toBe(before);
    return;
  }
  const result = await perform(run, form);
  if (vector.operation === 'read') expect(result).toEqual({ dataBase64: await readFile(path) });
  else if (vector.operation === 'mkdir') expect(await stateOf(target)).toBe('directory');
  else if (vector.operation === 'remove') expect(await stateOf(target)).toBe('missing');
  else if (vector.operation === 'write' && !path.startsWith('/dev/'))
    expect(await readFile(target)).toEqual(written);
}

/** Says something of devices, which are none of the files that these methods write, with a sandbox or without. */
const devices = new Set([6]);

/** All vectors by the methods of files, in the form of a generation of clients. */
export function fileVectors(enforcer: Enforcer, user: User, forms: readonly ('uri' | 'plain')[]): void {
  describe.each(forms)('with paths in the form %s', (form) => {
    vectorCases(
      { enforcer, user },
      ({ number }) => !devices.has(number),
      async (run) => runFileVector(run, form),
    );
  });
}
