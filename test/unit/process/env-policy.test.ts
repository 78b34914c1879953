import { userInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { childVariables, loginShell } from '../../../src/process/env-policy.ts';
import type { EnvPolicy } from '../../../src/protocol/process.ts';

const own = {
  PATH: '/bin',
  Home: '/root',
  lc_all: 'C',
  TERM: 'xterm',
  API_KEY: 'k',
  KEYBOARD: 'us',
  my_secret_x: 's',
  TOKENIZER: 't',
  PASSWORD: 'p',
  FOO: 'foo',
  FOO_BAR: 'foobar',
};

const everything: EnvPolicy = {
  inherit: 'all',
  ignoreDefaultExcludes: true,
  exclude: [],
  set: {},
  includeOnly: [],
};

function names(
  policy: Partial<EnvPolicy> | null,
  requested: Record<string, string> = {},
  from: Record<string, string> = own,
): string[] {
  return [...childVariables(from, policy && { ...everything, ...policy }, requested).keys()].sort();
}

const without = (...dropped: string[]): string[] =>
  Object.keys(own)
    .filter((name) => !dropped.includes(name))
    .sort();
const defaultsDropped = ['API_KEY', 'KEYBOARD', 'my_secret_x', 'TOKENIZER'];

describe('childVariables', () => {
  it.each([
    ['no policy: nothing is inherited', null, {}, []],
    ['no policy: exactly the variables of the request', null, { A: '1', API_KEY: '2' }, ['API_KEY', 'A']],
    ['inherit all', {}, {}, without()],
    ['inherit none', { inherit: 'none' }, {}, []],
    [
      'inherit core: the core names in any case, and no TERM',
      { inherit: 'core' },
      {},
      ['Home', 'PATH', 'lc_all'],
    ],
    [
      'default excludes: substrings in any case',
      { ignoreDefaultExcludes: false },
      {},
      without(...defaultsDropped),
    ],
    ['exclude', { exclude: ['foo*', 'p?th'] }, {}, without('FOO', 'FOO_BAR', 'PATH')],
    [
      'exclude beside the default excludes',
      { ignoreDefaultExcludes: false, exclude: ['TERM'] },
      {},
      without(...defaultsDropped, 'TERM'),
    ],
    [
      'set comes after the excludes',
      { inherit: 'none', ignoreDefaultExcludes: false, exclude: ['*'], set: { MY_TOKEN: 't', FOO: 'f' } },
      {},
      ['FOO', 'MY_TOKEN'],
    ],
    ['includeOnly keeps what matches', { includeOnly: ['FOO*', 'path'] }, {}, ['FOO', 'FOO_BAR', 'PATH']],
    ['includeOnly drops set', { includeOnly: ['FOO'], set: { LOST: 'x', FOO: 'y' } }, {}, ['FOO']],
    ['includeOnly with only the empty pattern keeps nothing', { includeOnly: [''] }, {}, []],
    [
      'the variables of the request come after includeOnly and the excludes',
      { includeOnly: ['FOO'], exclude: ['REQ*'], ignoreDefaultExcludes: false },
      { REQ: '1', REQ_KEY: '2' },
      ['FOO', 'REQ', 'REQ_KEY'],
    ],
  ] as [string, Partial<EnvPolicy> | null, Record<string, string>, string[]][])(
    '%s',
    (_, policy, requested, expected) => {
      expect(names(policy, requested)).toEqual(expected.sort());
    },
  );

  it('lets set win over what is inherited, and the request over both', () => {
    const policy = { ...everything, set: { FOO: 'set', TERM: 'set' } };
    const result = childVariables(own, policy, { FOO: 'requested' });
    expect([result.get('FOO'), result.get('TERM'), result.get('PATH')]).toEqual(['requested', 'set', '/bin']);
  });

  it.each([
    'PATH',
    'SHELL',
    'TMPDIR',
    'TEMP',
    'TMP',
    'HOME',
    'LANG',
    'LC_ALL',
    'LC_CTYPE',
    'LOGNAME',
    'USER',
  ])('takes %s as a core variable, in any case', (name) => {
    for (const written of [name, name.toLowerCase()]) {
      expect(names({ inherit: 'core' }, {}, { [written]: 'x', [`${written}X`]: 'y' })).toEqual([written]);
    }
  });

  const strippedNames = [
    'CODEX_EXEC_SERVER_EXIT_ON_STDIN_CLOSE',
    'CODEX_EXEC_SERVER_NOISE_AUTH_TOKEN',
    'codex_exec_server_noise_auth_token',
  ];
  it.each(strippedNames)('never hands on %s, whoever names it', (name) => {
    expect(names({}, {}, { [name]: 'x' })).toEqual([]);
    expect(names({ set: { [name]: 'x' } }, {}, {})).toEqual([]);
    expect(names(null, { [name]: 'x', A: '1' })).toEqual(['A']);
  });

  it('keeps a variable named __proto__ wherever it comes from', () => {
    const odd = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
    expect(names({}, {}, odd)).toEqual(['__proto__']);
    expect(names({ inherit: 'none', set: odd })).toEqual(['__proto__']);
    expect(names(null, odd)).toEqual(['__proto__']);
  });
});

describe('patterns', () => {
  const matches = (pattern: string, name: string): boolean =>
    names({ includeOnly: [pattern] }, {}, { [name]: 'x' }).length === 1;

  it.each([
    ['FOO', 'FOO'],
    ['foo', 'FOO'],
    ['FOO', 'foo'],
    ['*', 'FOO'],
    ['**', 'FOO'],
    ['FOO*', 'FOO'],
    ['*FOO', 'FOO'],
    ['*O*', 'FOO'],
    ['F*O', 'FOO'],
    ['F?O', 'FOO'],
    ['???', 'FOO'],
    ['*?', 'FOO'],
    ['?*', 'F'],
    ['*A*B*C', 'xAxBxBxC'],
    ['*AB', 'AAB'],
    ['*ABAC', 'ABABAC'],
    ['A.B', 'A.B'],
    ['[A-Z]', '[A-Z]'],
    ['{A,B}', '{A,B}'],
    ['\\*', '\\X'],
    ['A(B)+$', 'A(B)+$'],
    ['É', 'é'],
    ['?', 'é'],
    ['?', 'ß'],
    ['?', '😀'],
  ])('%s matches %s', (pattern, name) => {
    expect(matches(pattern, name)).toBe(true);
  });

  it.each([
    ['', 'FOO'],
    ['FO', 'FOO'],
    ['OO', 'FOO'],
    ['FOOO', 'FOO'],
    ['F?', 'FOO'],
    ['????', 'FOO'],
    ['FOO?', 'FOO'],
    ['?FOO', 'FOO'],
    ['*X*', 'FOO'],
    ['[A-Z]OO', 'FOO'],
    ['{FOO,BAR}', 'FOO'],
    ['F.O', 'FOO'],
    ['\\*', '*'],
    ['*A*B', 'xBxA'],
  ])('%s does not match %s', (pattern, name) => {
    expect(matches(pattern, name)).toBe(false);
  });

  it('answers a pattern at once that would take a backtracking matcher for ever', () => {
    // 2^40 steps and more if every star is tried at every place.
    const name = 'a'.repeat(4000);
    expect(matches(`${'*a'.repeat(40)}b`, name)).toBe(false);
    expect(matches(`${'*?a'.repeat(40)}*b`, name)).toBe(false);
    expect(matches(`${'*'.repeat(4000)}b`, name)).toBe(false);
    expect(matches('*a'.repeat(2000), name)).toBe(true);
  });
});

describe('loginShell', () => {
  it('is that of the user, whatever SHELL says', () => {
    expect(loginShell({ SHELL: '/nowhere' })).toBe(userInfo().shell ?? '/nowhere');
  });
});
