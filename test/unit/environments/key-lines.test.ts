import { parse } from 'smol-toml';
import { expect, test } from 'vitest';

import { KeyLines, type KeyPath } from '../../../src/environments/file/key-lines.ts';

const text = `# a comment with [brackets] and = signs
default = "one" # trailing

include_local = false
[[environments]]
id = "one"
url = 'ws://a#b'
headers = { "x-a" = "1", 'x.b' = "2" }

  [[environments]]  # second
id = "two"
args = [
  "a ] b", # comment ]
  """
several [[lines]]
\\""" id = 1""",
  { deep = [1, 2], when = 1979-05-27 07:32:00 },
]
env.PATH = "/bin"
"env"."A B" = '''
x = 1
'''''
[environments.sandbox]
type = "read-only"
[other.table]
key = 1
[[other.list]]
a = 1
[other.list.sub]
b = 2
`;

const places: readonly [KeyPath, number][] = [
  [['default'], 2],
  [['include_local'], 4],
  [['environments', 0], 5],
  [['environments', 0, 'id'], 6],
  [['environments', 0, 'url'], 7],
  [['environments', 0, 'headers', 'x-a'], 8],
  [['environments', 0, 'headers', 'x.b'], 8],
  [['environments', 0, 'not there'], 5],
  [['environments', 1], 10],
  [['environments', 1, 'id'], 11],
  [['environments', 1, 'args', 0], 13],
  [['environments', 1, 'args', 1], 14],
  [['environments', 1, 'args', 2], 17],
  [['environments', 1, 'args', 2, 'deep', 1], 17],
  [['environments', 1, 'env', 'PATH'], 19],
  [['environments', 1, 'env', 'A B'], 20],
  [['environments', 1, 'sandbox', 'type'], 24],
  [['other', 'table', 'key'], 26],
  [['other', 'list', 0, 'a'], 28],
  [['other', 'list', 0, 'sub', 'b'], 30],
  [['nowhere'], 1],
];

test('the sample is TOML, and has what is looked for', () => {
  const table = parse(text) as { environments: { args: unknown[]; env: object }[] };
  expect(table.environments[1]?.args).toHaveLength(3);
  expect(table.environments[1]?.env).toEqual({ PATH: '/bin', 'A B': "x = 1\n''" });
});

test.each(places)('%j is on line %i', (path, line) => {
  expect(new KeyLines(text).lineOf(path)).toBe(line);
});

test('ends with texts that are cut off or no TOML', () => {
  for (let length = 0; length < text.length; length += 3)
    expect(new KeyLines(text.slice(0, length)).lineOf([])).toBe(1);
  for (const wrong of ['[', '[[', '=', 'a=[', 'a={', '"', "a = '''", ']', '}', '.', 'a.=', '\\', 'a=]\n[x'])
    expect(new KeyLines(wrong).lineOf([])).toBe(1);
});
