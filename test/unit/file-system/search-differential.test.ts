import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { translatePattern } from '../../../src/file-system/search/dialect.ts';
import { PatternError } from '../../../src/file-system/search/pattern-reader.ts';
import { grepWith } from '../../support/search-engines.ts';
import { requireRipgrep } from '../../support/search-programs.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';
import { Random, seeds } from '../../support/unit-random.ts';

const atoms = [
  'a',
  'b',
  'A',
  'é',
  '.',
  '\\w',
  '\\W',
  '\\d',
  '\\s',
  '\\S',
  '\\b',
  '\\B',
  '^',
  '$',
  '[ab]',
  '[^a]',
  '[^\\w]',
  '[a-cé]',
  '\\x00',
  ' ',
  '-',
  '\\r',
  '\\xff',
];
const quantifiers = ['*', '+', '?', '*?', '+?', '??', '{2}', '{1,3}', '{2,}?'];

function randomPattern(random: Random, depth = 0): string {
  let pattern = '';
  for (let parts = 1 + random.below(4); parts > 0; parts--) {
    const group = depth < 3 && random.below(4) === 0;
    const inner = group
      ? `(${random.below(2) === 0 ? '?:' : ''}${randomPattern(random, depth + 1)})`
      : random.pick(atoms);
    pattern += inner + (random.below(3) === 0 ? random.pick(quantifiers) : '');
    if (random.below(8) === 0) pattern += '|';
  }
  return pattern;
}

function randomText(random: Random): Buffer {
  const pieces = [
    'a',
    'b',
    'A',
    'c',
    'é',
    'É',
    ' ',
    '-',
    '1',
    '\n',
    '\n',
    '\r\n',
    '\r',
    '\0',
    '\xff',
    '\xc3',
    '\xe9',
    '\xc9',
    '\xb5',
    '\xdf',
  ];
  const parts = Array.from({ length: random.below(60) }, () => {
    const piece = random.pick(pieces);
    return piece === 'é' || piece === 'É' ? Buffer.from(piece) : Buffer.from(piece, 'latin1');
  });
  return Buffer.concat(parts);
}

/** The numbers of the lines that ripgrep finds. */
function linesOf(program: string, pattern: string, file: string): number[] {
  const flags = ['--no-config', '--no-mmap', '--text', '--encoding=none', '--line-number'];
  const { status, stdout } = spawnSync(program, [...flags, `--regexp=${pattern}`, '--', file]);
  expect(status).toBeLessThan(2);
  // Lines can hold anything but line feeds.
  return stdout
    .toString('latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => Number.parseInt(line, 10));
}

describe('both engines', () => {
  it.for(seeds)('find the same lines of random texts by random patterns, seed %i', async (seed, test) => {
    const random = new Random(seed);
    await using folder = await temporaryFolder();
    const program = requireRipgrep(test);
    let compared = 0;
    for (let round = 0; round < 60; round++) {
      const pattern = randomPattern(random);
      const caseSensitive = random.below(2) === 0;
      const file = join(folder.path, `${round}.txt`);
      // No NUL at the beginning, which would make it a binary file.
      const text = randomText(random).map((byte) => (byte === 0 && round % 2 === 0 ? 0x61 : byte));
      await writeFile(file, Buffer.concat([Buffer.alloc(round % 2 === 0 ? 0 : 9000, 'x y\n'), text]));
      try {
        const own = await grepWith(file, { pattern, caseSensitive });
        const { ripgrep } = translatePattern(pattern, { literal: false, caseSensitive });
        const title = `${pattern} in ${JSON.stringify(Buffer.from(text).toString('latin1'))}`;
        const lines = own.matches.map((match) => match.lineNumber);
        if (ripgrep === undefined) continue;
        expect(lines, title).toEqual(linesOf(program, ripgrep, file));
        compared += 1;
      } catch (error) {
        if (!(error instanceof PatternError)) throw error;
      }
    }
    expect(compared).toBeGreaterThan(20);
  });
});
