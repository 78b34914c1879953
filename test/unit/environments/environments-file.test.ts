import { expect, test } from 'vitest';

import { EnvironmentFileError } from '../../../src/environments/file/file-error.ts';
import { readEnvironments } from '../../../src/environments/file/read-environments.ts';
import type { EnvironmentSnapshot } from '../../../src/environments/provider.ts';
import { commandEntry } from '../../../src/environments/sources/command-entry.ts';
import { urlEntry } from '../../../src/environments/sources/url-entry.ts';

const path = '/config/environments.toml';
const kinds = [urlEntry, commandEntry];
const read = (text: string): EnvironmentSnapshot => readEnvironments(text, { path, variables: {}, kinds });

function problemsOf(text: string): string[] {
  try {
    read(text);
  } catch (error) {
    expect(error).toBeInstanceOf(EnvironmentFileError);
    const { problems, message } = error as EnvironmentFileError;
    for (const line of message.split('\n')) expect(line).toMatch(/^\/config\/environments\.toml:\d+: /);
    return problems.map(({ line, key, problem }) => `${line}: ${key ?? '-'} ${problem}`);
  }
  return [];
}

const entry = (...lines: readonly string[]): string => ['[[environments]]', 'id = "a"', ...lines].join('\n');
const url = 'url = "wss://host/path"';

test('an empty file is local, and nothing else', () => {
  expect(read('')).toEqual({ environments: [], default: { kind: 'unset' }, includeLocal: true });
});

test.each([
  ['default = "none"', { kind: 'disabled' }],
  ['default = " None "', { kind: 'disabled' }],
  ['default = "local"', { kind: 'environment', id: 'local' }],
  ['default = " local "', { kind: 'environment', id: 'local' }],
  ['include_local = false', { kind: 'unset' }],
])('%s', (text, wanted) => {
  expect(read(text).default).toEqual(wanted);
});

test('every key of the kinds that are reached or started', () => {
  const snapshot = read(`
default = "sandbox"
include_local = false
[[environments]]
id = "plain"
url = "wss://host:8765/x?signature=1"
[[environments]]
id = "sandbox"
kind = "url"
url = "wss://host"
auth_bearer_token = "t0ken"
headers = { x-team = "a" }
connect_timeout_sec = 2.5
initialize_timeout_sec = 3
cwd = "/work"
sandbox = { type = "workspace-write", writable_roots = ["/srv"], network_access = true }
skills = { required = ["x"] }
[[environments]]
id = "ssh_box-1"
program = " ssh "
args = ["-T", "box", "exec-server"]
env = { A = "1" }
cwd = "relative"
sandbox = "read-only"
initialize_timeout_sec = 60
[[environments]]
id = "LOCAL"
program = "nested"
via = "sandbox"
cwd = "/there"
[[environments]]
id = "secret"
url = "ws://127.0.0.1:1"
token_file = "tokens/one"
`);
  expect(snapshot.default).toEqual({ kind: 'environment', id: 'sandbox' });
  expect(snapshot.includeLocal).toBe(false);
  const shown = snapshot.environments.map(({ id, cwd, sandbox, connect, source }) => ({
    id,
    kind: source.kind,
    label: source.label,
    via: source.via,
    cwd,
    sandbox,
    timeout: connect?.connectTimeoutMs,
  }));
  const none = { via: undefined, cwd: undefined, sandbox: undefined, timeout: undefined };
  expect(shown).toEqual([
    { ...none, id: 'plain', kind: 'url', label: 'wss://host:8765/x' },
    {
      ...none,
      id: 'sandbox',
      kind: 'url',
      label: 'wss://host/',
      cwd: '/work',
      timeout: 5500,
      sandbox: {
        type: 'workspaceWrite',
        writableRoots: ['/srv'],
        networkAccess: true,
        excludeTmpdirEnvVar: false,
        excludeSlashTmp: false,
      },
    },
    {
      ...none,
      id: 'ssh_box-1',
      kind: 'command',
      label: 'a command on this machine',
      cwd: '/config/relative',
      sandbox: { type: 'readOnly', networkAccess: false },
      timeout: 70_000,
    },
    {
      ...none,
      id: 'LOCAL',
      kind: 'command',
      label: 'a command inside "sandbox"',
      via: 'sandbox',
      cwd: '/there',
    },
    { ...none, id: 'secret', kind: 'url', label: 'ws://127.0.0.1:1/' },
  ]);
});

test.each<[string, string[]]>([
  // No TOML.
  ['default = ', ['1: - column 11: invalid value']],
  ['a = 1\na = 2', ['2: - column 1: trying to redefine an already defined table or value']],
  // The file itself.
  ['colour = 1', ['1: colour is not known']],
  ['\ndefault = 1', ['2: default must be a string']],
  ['include_local = "yes"', ['1: include_local must be true or false']],
  ['environments = 1', ['1: environments must be an array']],
  ['environments = [1]', ['1: environments[0] must be a table']],
  ['default = ""', ['1: default is empty; name an environment, or "none"']],
  ['default = "  "', ['1: default is empty; name an environment, or "none"']],
  ['\n\ndefault = "b"', ['3: default no environment has the id "b"']],
  ['include_local = false\ndefault = "local"', ['2: default "local" is not included']],
  // Ids.
  [`[[environments]]\n${url}`, ['1: environments[0].id is missing']],
  [`[[environments]]\nid = 1\n${url}`, ['2: environments[0].id must be a string']],
  [`[[environments]]\nid = " "\n${url}`, ['2: environments[0].id is empty; give the environment a name']],
  [`[[environments]]\nid = "a "\n${url}`, ['2: environments[0].id "a " has blanks around it; remove them']],
  [
    `[[environments]]\nid = "local"\n${url}`,
    ['2: environments[0].id "local" is this machine, which the manager adds itself; choose another id'],
  ],
  [
    `[[environments]]\nid = "NONE"\n${url}`,
    ['2: environments[0].id "NONE" stands for no environment; choose another id'],
  ],
  [
    `[[environments]]\nid = "${'x'.repeat(65)}"\n${url}`,
    [`2: environments[0].id "${'x'.repeat(64)}"… has 65 characters; 64 are the most`],
  ],
  [
    `[[environments]]\nid = "a.b"\n${url}`,
    ['2: environments[0].id "a.b" has other characters than ASCII letters, digits, "-" and "_"'],
  ],
  [
    `${entry(url)}\n${entry(url)}`,
    ['5: environments[1].id "a" is the id of another environment already; choose another one'],
  ],
  // Kinds.
  [entry(), ['1: environments[0] must have url or program, which say what it is']],
  [
    entry(url, 'program = "x"'),
    ['4: environments[0].program and url say two kinds of environments; keep one of them'],
  ],
  [entry('kind = "tube"', url), ['3: environments[0].kind must be one of "url", "command"']],
  [entry('kind = 1', url), ['3: environments[0].kind must be one of "url", "command"']],
  [entry('kind = "url"'), ['1: environments[0].url is missing']],
  [
    entry('kind = "url"', url, 'program = "x"'),
    ['5: environments[0].program is for entries of kind "command" only'],
  ],
  // Keys that belong elsewhere.
  [entry(url, 'args = []'), ['4: environments[0].args is for entries of kind "command" only']],
  [entry(url, 'env = {}'), ['4: environments[0].env is for entries of kind "command" only']],
  [entry(url, 'via = "local"'), ['4: environments[0].via is for entries of kind "command" only']],
  [
    entry('program = "x"', 'connect_timeout_sec = 1'),
    ['4: environments[0].connect_timeout_sec is for entries of kind "url" only'],
  ],
  [
    entry('program = "x"', 'auth_bearer_token = "secret"'),
    ['4: environments[0].auth_bearer_token is for entries of kind "url" only'],
  ],
  [entry(url, 'colour = "red"'), ['4: environments[0].colour is not known']],
  // URLs.
  [entry('url = ""'), ['3: environments[0].url must not be empty']],
  [entry('url = "http://x"'), ['3: environments[0].url must begin with ws:// or wss://']],
  [entry('url = "WS://x"'), ['3: environments[0].url must begin with ws:// or wss://']],
  [entry('url = "ws://"'), ['3: environments[0].url is no URL']],
  [entry('url = "wss://u:p@x"'), ['3: environments[0].url must hold no credentials; give the token apart']],
  [entry('url = "wss://x#y"'), ['3: environments[0].url must not have a fragment']],
  [entry('url = 1'), ['3: environments[0].url must be a string']],
  // Tokens and headers.
  [
    entry(url, 'auth_bearer_token = "se cret"'),
    ['4: environments[0].auth_bearer_token is no token, which is one line of printable ASCII without blanks'],
  ],
  [
    entry('url = "ws://host"', 'auth_bearer_token = "secret"'),
    [
      '4: environments[0].auth_bearer_token would go over the network in the clear; use wss://, or a loopback address',
    ],
  ],
  [
    entry('url = "ws://10.0.0.1"', 'headers = { a = "b" }'),
    ['4: environments[0].headers would go over the network in the clear; use wss://, or a loopback address'],
  ],
  [
    entry(url, 'auth_bearer_token = "x"', 'token_file = "y"'),
    ['5: environments[0].token_file and auth_bearer_token are two tokens; keep one of them'],
  ],
  [entry(url, 'token_file = ""'), ['4: environments[0].token_file must not be empty']],
  [
    entry(url, '[environments.headers]', 'ok = "1"', 'x = 1'),
    ['6: environments[0].headers.x must be a string'],
  ],
  [entry(url, 'headers = { "a b" = "1" }'), ['4: environments[0].headers.a b is no header of HTTP']],
  [entry(url, 'headers = { a = "1\\n2" }'), ['4: environments[0].headers.a is no header of HTTP']],
  // Programs.
  [entry('program = " "'), ['3: environments[0].program must not be empty']],
  [entry('program = "x"', 'args = "y"'), ['4: environments[0].args must be an array']],
  [entry('program = "x"', 'args = [', '"y",', '1,', ']'), ['6: environments[0].args[1] must be a string']],
  [entry('program = "x"', 'env = { A = 1 }'), ['4: environments[0].env.A must be a string']],
  // Times.
  [entry(url, 'connect_timeout_sec = -1'), ['4: environments[0].connect_timeout_sec must be more than 0']],
  [entry(url, 'connect_timeout_sec = 0'), ['4: environments[0].connect_timeout_sec must be more than 0']],
  [entry(url, 'connect_timeout_sec = nan'), ['4: environments[0].connect_timeout_sec must be a number']],
  [entry(url, 'connect_timeout_sec = inf'), ['4: environments[0].connect_timeout_sec must be a number']],
  [
    entry(url, 'initialize_timeout_sec = 3e6'),
    ['4: environments[0].initialize_timeout_sec must not be more than 2147483'],
  ],
  [
    entry(url, 'initialize_timeout_sec = "1"'),
    ['4: environments[0].initialize_timeout_sec must be a number'],
  ],
  // Sandboxes and places.
  [
    entry(url, 'sandbox = "readOnly"'),
    [
      '4: environments[0].sandbox is wrong: "readOnly" is no sandbox mode; write "read-only", "workspace-write", "danger-full-access".',
    ],
  ],
  [
    entry(url, 'sandbox = { type = "read-only", colour = 1 }'),
    ['4: environments[0].sandbox is wrong: The sandbox policy is wrong: Unrecognized key: "colour"'],
  ],
  [entry(url, 'cwd = "rel"'), ['4: environments[0].cwd must be an absolute path of the environment']],
  [entry(url, 'cwd = 1'), ['4: environments[0].cwd must be a string']],
  // What is reached through what.
  [entry('program = "x"', 'via = "b"'), ['4: environments[0].via no environment has the id "b"']],
  [entry('program = "x"', 'via = "a"'), ['4: environments[0].via leads back to itself: a → a']],
  [
    `${entry('program = "x"', 'via = "b"')}\n[[environments]]\nid = "b"\nprogram = "x"\nvia = "a"`,
    [
      '4: environments[0].via leads back to itself: a → b → a',
      '8: environments[1].via leads back to itself: b → a → b',
    ],
  ],
  // Everything at once, in order.
  [
    `default = "nowhere"\n${entry(url, 'colour = 1')}\n${entry('url = "x"')}`,
    [
      '1: default no environment has the id "nowhere"',
      '5: environments[0].colour is not known',
      '7: environments[1].id "a" is the id of another environment already; choose another one',
      '8: environments[1].url must begin with ws:// or wss://',
    ],
  ],
])('%j says what is wrong', (text, wanted) => {
  expect(problemsOf(text)).toEqual(wanted);
});

test('shows no value of a file that is wrong', () => {
  const text = `[[environments]]\nid = "a"\nurl = "wss://user:secret1@x"\nauth_bearer_token = "sec ret2"\nheaders = { a = "secret3\\n" }`;
  expect(problemsOf(text).join('\n')).not.toMatch(/sec ?ret/);
  expect(problemsOf('a = "secret\n').join('\n')).not.toMatch(/secret/);
});
