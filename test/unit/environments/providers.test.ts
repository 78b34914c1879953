import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { EnvironmentManager } from '../../../src/environments/environment-manager.ts';
import {
  defaultProvider,
  environmentFiles,
  fileProvider,
} from '../../../src/environments/file/file-provider.ts';
import type { EnvironmentEntry, EnvironmentProvider } from '../../../src/environments/provider.ts';
import { urlSource } from '../../../src/environments/sources/url-source.ts';
import { staticProvider } from '../../../src/environments/static-provider.ts';
import { variablesProvider } from '../../../src/environments/variables-provider.ts';

interface Choice {
  readonly ids: readonly string[];
  readonly default: string | undefined;
}

async function choiceOf(provider: EnvironmentProvider): Promise<Choice> {
  await using manager = await EnvironmentManager.create(provider, { local: { env: {} } });
  const { defaultId } = manager;
  expect(manager.get.bind(manager, 'nowhere')).toThrow('No environment has the id "nowhere".');
  if (defaultId === undefined) expect(() => manager.get()).toThrow('There is no default environment.');
  else expect(manager.get()).toBe(manager.get(defaultId));
  return { ids: manager.list().map(({ id }) => id), default: defaultId };
}

const local: Choice = { ids: ['local'], default: 'local' };
const remote: Choice = { ids: ['remote'], default: 'remote' };
const both: Choice = { ids: ['local', 'remote'], default: 'remote' };
const nothing: Choice = { ids: [], default: undefined };
const noDefault: Choice = { ids: ['local'], default: undefined };

describe('variables', () => {
  // What is set, and what current clients and those of May 2026 make of it.
  const url = 'ws://127.0.0.1:1';
  test.each<[Record<string, string>, Choice, Choice]>([
    [{}, local, local],
    [{ EXEC_SERVER_URL: '' }, local, local],
    [{ EXEC_SERVER_URL: ' \t\n' }, local, local],
    [{ EXEC_SERVER_URL: 'none' }, nothing, noDefault],
    [{ EXEC_SERVER_URL: ' NoNe ' }, nothing, noDefault],
    [{ EXEC_SERVER_URL: 'NONE' }, nothing, noDefault],
    [{ EXEC_SERVER_URL: url }, remote, both],
    [{ EXEC_SERVER_URL: ` ${url}\n` }, remote, both],
    [{ CODEX_EXEC_SERVER_URL: '' }, local, local],
    [{ CODEX_EXEC_SERVER_URL: 'none' }, nothing, noDefault],
    [{ CODEX_EXEC_SERVER_URL: url }, remote, both],
    // Ours wins, whatever it says.
    [{ EXEC_SERVER_URL: 'none', CODEX_EXEC_SERVER_URL: url }, nothing, noDefault],
    [{ EXEC_SERVER_URL: '', CODEX_EXEC_SERVER_URL: url }, local, local],
    [{ EXEC_SERVER_URL: url, CODEX_EXEC_SERVER_URL: 'none' }, remote, both],
  ])('%j', async (variables, current, may2026) => {
    expect(await choiceOf(variablesProvider({ variables }))).toEqual(current);
    expect(await choiceOf(variablesProvider({ variables, generation: 'current' }))).toEqual(current);
    expect(await choiceOf(variablesProvider({ variables, generation: 'may-2026' }))).toEqual(may2026);
  });

  test.each([
    [{ EXEC_SERVER_URL: 'garbage' }, 'EXEC_SERVER_URL: the URL must begin with ws:// or wss://'],
    [{ CODEX_EXEC_SERVER_URL: 'http://x' }, 'CODEX_EXEC_SERVER_URL: the URL must begin with ws:// or wss://'],
    [
      { EXEC_SERVER_URL: 'wss://a:b@x' },
      'EXEC_SERVER_URL: the URL must hold no credentials; give the token apart',
    ],
    [
      { EXEC_SERVER_URL: 'ws://x', EXEC_SERVER_TOKEN: 'secret' },
      'EXEC_SERVER_URL: the token would go over the network in the clear; use wss://, or a loopback address',
    ],
  ])('%j says what is wrong', async (variables, message) => {
    const making = EnvironmentManager.create(variablesProvider({ variables }));
    await expect(making).rejects.toThrow(
      expect.objectContaining({ name: 'EnvironmentConfigError', message }),
    );
  });
});

describe('code', () => {
  const entry = (id: string, via?: string): EnvironmentEntry => ({
    id,
    source: { ...urlSource({ url: 'ws://127.0.0.1:1' }), via },
  });

  test.each<[string, EnvironmentProvider, Choice]>([
    ['nothing', staticProvider([]), local],
    ['nothing at all', staticProvider([], { includeLocal: false }), nothing],
    ['an order', staticProvider([entry('b'), entry('a')]), { ids: ['local', 'b', 'a'], default: 'local' }],
    [
      'no local',
      staticProvider([entry('b'), entry('a')], { includeLocal: false }),
      { ids: ['b', 'a'], default: undefined },
    ],
    ['a default', staticProvider([entry('a')], { default: 'a' }), { ids: ['local', 'a'], default: 'a' }],
    [
      'no default',
      staticProvider([entry('a')], { default: null }),
      { ids: ['local', 'a'], default: undefined },
    ],
    [
      '"none"',
      staticProvider([entry('a')], { default: 'None' }),
      { ids: ['local', 'a'], default: undefined },
    ],
    [
      'an id that looks reserved',
      staticProvider([entry('LOCAL'), entry('remote')]),
      { ids: ['local', 'LOCAL', 'remote'], default: 'local' },
    ],
  ])('%s', async (_what, provider, choice) => {
    expect(await choiceOf(provider)).toEqual(choice);
  });

  test.each<[string, EnvironmentProvider, string]>([
    ['an empty id', staticProvider([entry('')]), 'environments[0].id: is empty; give the environment a name'],
    [
      'a blank id',
      staticProvider([entry('a'), entry('  ')]),
      'environments[1].id: is empty; give the environment a name',
    ],
    ['blanks', staticProvider([entry(' a')]), 'environments[0].id: " a" has blanks around it; remove them'],
    [
      'local',
      staticProvider([entry('local')]),
      'environments[0].id: "local" is this machine, which the manager adds itself; choose another id',
    ],
    [
      'none',
      staticProvider([entry('nOne')]),
      'environments[0].id: "nOne" stands for no environment; choose another id',
    ],
    [
      'a long id',
      staticProvider([entry('x'.repeat(65))]),
      `environments[0].id: "${'x'.repeat(64)}"… has 65 characters; 64 are the most`,
    ],
    [
      'other characters',
      staticProvider([entry('ä')]),
      'environments[0].id: "ä" has other characters than ASCII letters, digits, "-" and "_"',
    ],
    [
      'the same twice',
      staticProvider([entry('a'), entry('b'), entry('a')]),
      'environments[2].id: "a" is the id of another environment already; choose another one',
    ],
    [
      'an unknown default',
      staticProvider([entry('a')], { default: 'b' }),
      'default: no environment has the id "b"',
    ],
    [
      'an empty default',
      staticProvider([], { default: ' ' }),
      'default: is empty; name an environment, or "none"',
    ],
    [
      'a default that is left out',
      staticProvider([], { default: 'local', includeLocal: false }),
      'default: "local" is not included',
    ],
    [
      'an unknown road',
      staticProvider([entry('a', 'b')]),
      'environments[0].via: no environment has the id "b"',
    ],
    [
      'a road through what is left out',
      staticProvider([entry('a', 'local')], { includeLocal: false }),
      'environments[0].via: no environment has the id "local"',
    ],
    [
      'a circle',
      staticProvider([entry('x'), entry('a', 'b'), entry('b', 'a')]),
      'environments[1].via: leads back to itself: a → b → a',
    ],
  ])('%s is wrong', async (_what, provider, message) => {
    const making = EnvironmentManager.create(provider, { local: { env: {} } });
    await expect(making).rejects.toThrow(
      expect.objectContaining({ name: 'EnvironmentConfigError', message }),
    );
  });

  test('local needs variables', async () => {
    await expect(EnvironmentManager.create(staticProvider([]))).rejects.toThrow(
      'local: the provider includes this machine; say with which variables it works',
    );
  });
});

describe('a file', () => {
  let folder = '';
  const at = (...parts: readonly string[]): string => path.join(folder, ...parts);

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'exec-environments-'));
    await Promise.all(
      ['own', 'xdg/exec-server', 'home/.config/exec-server', 'codex'].map((name) =>
        mkdir(at(name), { recursive: true }),
      ),
    );
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const write = (name: string): Promise<void> =>
    writeFile(
      at(name, 'environments.toml'),
      `default = "x"\n[[environments]]\nid = "x"\nurl = "ws://127.0.0.1:1/${name.split('/')[0]}"\n`,
    );
  const label = async (variables: Record<string, string>): Promise<string | undefined> => {
    const { environments } = await defaultProvider({ variables }).snapshot();
    return environments[0]?.source.label;
  };

  test('is looked for in four places, and replaces the variables', async () => {
    const variables = {
      EXEC_SERVER_HOME: at('own'),
      XDG_CONFIG_HOME: at('xdg'),
      HOME: at('home'),
      CODEX_HOME: at('codex'),
      EXEC_SERVER_URL: 'ws://127.0.0.1:1/variable',
    };
    expect(await label(variables)).toBe('ws://127.0.0.1:1/variable');
    await write('codex');
    expect(await label(variables)).toBe('ws://127.0.0.1:1/codex');
    await write('xdg/exec-server');
    expect(await label(variables)).toBe('ws://127.0.0.1:1/xdg');
    await write('own');
    expect(await label(variables)).toBe('ws://127.0.0.1:1/own');
    await write('home/.config/exec-server');
    expect(await label({ HOME: at('home') })).toBe('ws://127.0.0.1:1/home');
    await writeFile(at('own', 'environments.toml'), '');
    expect(await choiceOf(defaultProvider({ variables }))).toEqual(local);
  });

  test('relative places are void or below the working directory', () => {
    expect(environmentFiles({ XDG_CONFIG_HOME: 'rel', HOME: '/h' })).toEqual([
      '/h/.config/exec-server/environments.toml',
    ]);
    expect(environmentFiles({ EXEC_SERVER_HOME: 'rel', HOME: '/h' })[0]).toBe(
      path.resolve('rel/environments.toml'),
    );
  });

  test('that is named has to be there and be a file', async () => {
    await expect(fileProvider({ path: at('no.toml'), variables: {} }).snapshot()).rejects.toThrow(
      `${at('no.toml')}: there is no such file`,
    );
    await expect(fileProvider({ path: folder, variables: {} }).snapshot()).rejects.toThrow(
      `${folder}: the file cannot be read: `,
    );
  });

  test('tells its own path where something is wrong', async () => {
    await writeFile(at('wrong.toml'), '\ncolour = 1\n');
    await expect(fileProvider({ path: at('wrong.toml'), variables: {} }).snapshot()).rejects.toThrow(
      `${at('wrong.toml')}:2: colour is not known`,
    );
  });
});
