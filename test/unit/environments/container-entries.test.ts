import { expect, test } from 'vitest';

import { EnvironmentFileError } from '../../../src/environments/file/file-error.ts';
import { readEnvironments } from '../../../src/environments/file/read-environments.ts';
import type { EnvironmentSnapshot } from '../../../src/environments/provider.ts';

const read = (...lines: readonly string[]): EnvironmentSnapshot =>
  readEnvironments(['[[environments]]', 'id = "a"', ...lines].join('\n'), {
    path: '/config/environments.toml',
    variables: {},
  });

function problemsOf(...lines: readonly string[]): string[] {
  try {
    read(...lines);
  } catch (error) {
    expect(error).toBeInstanceOf(EnvironmentFileError);
    const { problems } = error as EnvironmentFileError;
    return problems.map(({ line, key, problem }) => `${line}: ${key ?? '-'} ${problem}`);
  }
  return [];
}

test('every key of containers and of machines over ssh is known', () => {
  const { environments } = read(
    'image = "debian"',
    'user = "1"',
    'workdir = "/w"',
    'env = { A = "b" }',
    'network = "none"',
    'mounts = [{ source = "./p", target = "/p", read_only = true }]',
    'labels = { a = "b" }',
    'folder = "/opt"',
    'args = ["--limit", "connections=1"]',
    'bundle = "b.tar.gz"',
    'engine = "unix:///s"',
    '[[environments]]',
    'id = "c"',
    'container = "c"',
    'via = "s"',
    '[[environments]]',
    'id = "s"',
    'host = "h"',
    'user = "u"',
    'port = 2222',
    'identity_file = "k"',
    'config_file = "c"',
    'options = { ProxyJump = "x" }',
    'install = true',
    'folder = "/opt"',
    'executor = "p"',
    'args = []',
    'bundle = "b.tar.gz"',
  );
  expect(environments.map(({ source: { kind, label, via } }) => [kind, label, via])).toEqual([
    ['docker', 'a container of an image', undefined],
    ['docker', 'a container inside "s"', 's'],
    ['ssh', 'a machine over ssh', undefined],
  ]);
});

test.each([
  [
    ['image = "a"', 'container = "b"'],
    '4: environments[0].container name either a container that runs, or an image',
  ],
  [
    ['container = "a"', 'network = "n"'],
    '4: environments[0].network is for a container that is created; this one is there already',
  ],
  [['kind = "docker"'], '1: environments[0].container name either a container that runs, or an image'],
  [['image = "a"', 'mounts = [{ source = "x" }]'], '4: environments[0].mounts[0].target'],
  [['host = "-x"'], '3: environments[0].host "-x" is no name of a host'],
  [['host = "a"', 'port = 0'], '4: environments[0].port'],
  [['host = "a"', 'options = { BatchMode = "no" }'], '4: environments[0].options BatchMode is fixed'],
  [['host = "a"', 'image = "b"'], '4: environments[0].image and host say two kinds of environments'],
])('%j is told with its line and key', (lines, problem) => {
  expect(problemsOf(...lines).join('\n')).toContain(problem);
});
