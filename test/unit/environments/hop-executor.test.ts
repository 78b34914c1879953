import { PassThrough } from 'node:stream';

import { expect, test } from 'vitest';

import type { HopChild } from '../../../src/environments/hop.ts';
import { startExecutor } from '../../../src/environments/hop-executor.ts';
import { limits } from '../../../src/protocol/limits.ts';

/** What is logged of a child that says these texts on standard error. */
async function logged(...texts: readonly string[]): Promise<string[]> {
  const stderr = new PassThrough();
  const child: HopChild = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr,
    exited: new Promise(() => {}),
    [Symbol.asyncDispose]: async () => {},
  };
  const lines: string[] = [];
  const hop = { label: 'a test', spawn: async () => child };
  const context = { signal: new AbortController().signal, onLog: (line: string) => void lines.push(line) };
  await startExecutor(hop, { program: 'x', args: [] }, context);
  for (const text of texts) stderr.write(text);
  stderr.end();
  await new Promise((resolve) => void stderr.once('close', resolve));
  return lines;
}

test.each<[string[], string[]]>([
  [[], []],
  [['one\ntwo\n'], ['one', 'two']],
  [
    ['o', 'ne\r\ntw', 'o'],
    ['one', 'two'],
  ],
  [['\n\nx\n'], ['', '', 'x']],
])('%j is logged as %j', async (texts, lines) => {
  expect(await logged(...texts)).toEqual(lines);
});

test('of an endless line the beginning is kept', async () => {
  const piece = 'x'.repeat(1024 * 1024);
  const [line, last, ...others] = await logged(...Array.from({ length: 20 }, () => piece), '\nafter\n');
  expect(line).toBe('x'.repeat(limits.logLineCharacters));
  expect(last).toBe('after');
  expect(others).toEqual([]);
});
