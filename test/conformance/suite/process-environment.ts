import { homedir, userInfo } from 'node:os';

import { expect } from 'vitest';

import type { WireParams } from '../../../src/protocol/methods.ts';
import { executorVariables } from '../../support/conformance-targets.ts';
import type { WireClient, WireStart } from '../../support/conformance-wire.ts';
import type { Topic } from '../case.ts';

type Policy = NonNullable<WireParams<'process/start'>['envPolicy']>;

const nothing: Policy = {
  inherit: 'none',
  ignoreDefaultExcludes: false,
  exclude: [],
  set: {},
  includeOnly: [],
};
const path = executorVariables('')['PATH'] ?? '';
const core = { PATH: path, HOME: homedir(), LANG: 'C.UTF-8' };
const harmless = { ...core, PLAIN: 'plain', plain_lower: 'lower', PASSWORD: 'stays' };
const secret = { KEYBOARD: 'has KEY in it', API_KEY: 'key', session_token: 'token', SECRETARY: 'secret' };

interface Row {
  readonly title: string;
  readonly policy?: Partial<Policy> | null;
  readonly env?: Record<string, string>;
  readonly expected: Record<string, string>;
}

/** Each against the variables of the executors under test; the mark of the test itself is left out. */
const rows: readonly Row[] = [
  { title: 'no policy', env: { A: 'x', B: '' }, expected: { A: 'x', B: '' } },
  { title: 'no policy and no variables', policy: null, expected: {} },
  { title: 'none', policy: {}, expected: {} },
  { title: 'core', policy: { inherit: 'core' }, expected: core },
  { title: 'all', policy: { inherit: 'all' }, expected: harmless },
  {
    title: 'all, secrets included',
    policy: { inherit: 'all', ignoreDefaultExcludes: true },
    expected: { ...harmless, ...secret },
  },
  {
    title: 'excludes, whatever their case',
    policy: { inherit: 'all', exclude: ['plain*', 'PASS????', 'hom', ''] },
    expected: core,
  },
  {
    title: 'patterns know no classes and no braces',
    policy: { inherit: 'core', exclude: ['[A-Z]*', '{PATH,HOME}', 'P?'] },
    expected: core,
  },
  {
    title: 'set comes after the excludes',
    policy: { inherit: 'core', exclude: ['*'], set: { MY_TOKEN: 't', PATH: '/set' } },
    expected: { MY_TOKEN: 't', PATH: '/set' },
  },
  {
    title: 'includeOnly drops what was set, too',
    policy: { inherit: 'core', set: { KEPT: 'k', LOST: 'l' }, includeOnly: ['path', 'K*'] },
    expected: { PATH: path, KEPT: 'k' },
  },
  {
    title: 'variables of the request win and pass every filter',
    policy: { inherit: 'core', exclude: ['*'], set: { A: 'set' }, includeOnly: ['A', 'C'] },
    env: { A: 'request', MY_SECRET: 's' },
    expected: { A: 'request', MY_SECRET: 's' },
  },
  {
    title: "an executor's own secrets go in no way",
    policy: { inherit: 'all', ignoreDefaultExcludes: true, set: { CODEX_EXEC_SERVER_NOISE_AUTH_TOKEN: 'x' } },
    env: { codex_exec_server_noise_auth_token: 'y', CODEX_EXEC_SERVER_EXIT_ON_STDIN_CLOSE: '1' },
    expected: { ...harmless, ...secret },
  },
  {
    title: 'names and values of any kind',
    env: { __proto__x: '1', 'with space': ' a\n b ', Ü: 'ü', 'a.b-c': '=' },
    expected: { __proto__x: '1', 'with space': ' a\n b ', Ü: 'ü', 'a.b-c': '=' },
  },
];

/** What the executor has of others: the mark of the test, and what a container engine says to each of its programs. */
const foreign = /^(EXEC_SERVER_CONFORMANCE_MARK|HOSTNAME)=/;

/** The variables that a process has got. */
async function variablesOf(client: WireClient, start: Partial<WireStart>): Promise<Record<string, string>> {
  const view = await client.run({ ...start, argv: ['/usr/bin/env', '-0'] });
  const text = start.tty === true ? view.text('pty') : view.text('stdout');
  const pairs = text
    .split('\0')
    .filter((pair) => pair !== '' && !foreign.test(pair))
    .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
  return Object.fromEntries(pairs) as Record<string, string>;
}

export const processEnvironment: Topic = {
  name: 'environment of a process',
  cases: [
    {
      id: 'EN-1',
      title: 'a process gets exactly the variables that its policy and its request say',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        for (const { title, policy, env = {}, expected } of rows) {
          const envPolicy = policy == null ? null : { ...nothing, ...policy };
          expect(await variablesOf(client, { env, envPolicy }), title).toEqual(expected);
        }
      },
    },
    {
      id: 'EN-2',
      title: 'a variable may have the name of a member of every object',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const params = JSON.stringify({ ...client.startParams({ argv: ['/usr/bin/env'] }), processId: 'e' });
        const env = '{"__proto__":"1","constructor":"2","toString":"3"}';
        const answer = await client.ask(
          `{"id":"e","method":"process/start","params":${params.replace(/"env":\{[^}]*\}/, `"env":${env}`)}}`,
          '"e"',
        );
        expect(answer.error).toBeUndefined();
        const read = await client.call('process/read', { processId: 'e', waitMs: 30_000 });
        const text = read.chunks.map(({ chunk }) => Buffer.from(chunk).toString()).join('');
        expect(text.trim().split('\n').sort()).toEqual(['__proto__=1', 'constructor=2', 'toString=3']);
      },
    },
    {
      id: 'EN-3',
      title: 'a PTY adds the login shell and nothing else',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const shell = userInfo().shell;
        expect(await variablesOf(client, { tty: true, env: { A: 'x' } })).toEqual({ A: 'x', SHELL: shell });
        expect(await variablesOf(client, { tty: true, env: { SHELL: '/own' } })).toEqual({ SHELL: '/own' });
      },
    },
    {
      id: 'EN-4',
      title: 'with pipes a process leads a session without a terminal, and its streams are pipes',
      covers: ['process/start', 'process/list'],
      run: async (context) => {
        const client = await context.open();
        const script = 'cat /proc/$$/stat; readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2; read line';
        const view = await client.shell(script, { pipeStdin: true });
        const [, stat = '', ...fds] = await client.output(view, 'stdout', /^(.*)\n(.*)\n(.*)\n(.*)\n/);
        const [{ pid } = { pid: 0 }] = (await client.call('process/list')).processes;
        const [, , group, session, terminal] = stat
          .slice(stat.lastIndexOf(')') + 2)
          .split(' ')
          .map(Number);
        expect({ group, session, terminal }).toEqual({ group: pid, session: pid, terminal: 0 });
        expect(fds.map((fd) => fd.replace(/\d+/, 'n'))).toEqual(['pipe:[n]', 'pipe:[n]', 'pipe:[n]']);
        expect(new Set(fds).size).toBe(3);
        await client.call('process/terminate', { processId: view.id });
      },
    },
    {
      id: 'EN-5',
      title: 'the streams of a process can be opened again by name',
      covers: ['process/output'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell('echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin', {
          pipeStdin: true,
        });
        await client.call('process/write', { processId: view.id, chunk: 'aW4K' });
        await client.call('process/closeStdin', { processId: view.id });
        await client.end(view);
        expect(view.text('stdout')).toBe('out\nin\n');
        expect(view.text('stderr')).toBe('err\n');
      },
    },
    {
      id: 'EN-6',
      title: 'without pipeStdin the input of a process is empty',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.runShell('readlink /proc/$$/fd/0; cat');
        expect(view.text('stdout')).toBe('/dev/null\n');
        expect(view.exited?.exitCode).toBe(0);
      },
    },
    {
      id: 'EN-7',
      title: 'a process inherits no descriptor but its three streams',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        // Other processes run, so that the executor has descriptors that could be inherited.
        const others = await Promise.all([
          client.start({ argv: ['/bin/cat'], pipeStdin: true }),
          client.start({ argv: ['/bin/cat'], tty: true }),
        ]);
        for (const tty of [false, true]) {
          const numbers = Array.from({ length: 120 }, (_, index) => index).join(' ');
          const script = `for n in ${numbers}; do [ -e /proc/$$/fd/$n ] && printf '%s ' $n; done; true`;
          const view = await client.runShell(script, { tty });
          expect(view.text(tty ? 'pty' : 'stdout')).toBe('0 1 2 ');
        }
        for (const { id } of others) await client.call('process/terminate', { processId: id });
      },
    },
    {
      id: 'EN-8',
      title: 'signals that the executor ignores are not ignored in a process',
      covers: ['process/start'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.runShell('grep -E "^Sig(Ign|Blk)" /proc/self/status');
        expect(view.text('stdout').replaceAll(/\s+/g, ' ').trim()).toMatch(/^SigBlk: 0+ SigIgn: 0+$/);
      },
    },
    {
      id: 'EN-9',
      title: 'a PTY is the controlling terminal, echoes, and has 24 rows and 80 columns',
      covers: ['process/start', 'process/write', 'process/output'],
      needs: ['stty'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.shell(
          'stty size; test -t 0 && test -t 1 && test -t 2 && echo tty; read x; exit 7',
          {
            tty: true,
          },
        );
        await client.output(view, 'pty', '24 80\r\ntty\r\n');
        await client.call('process/write', { processId: view.id, chunk: 'aGkK' });
        await client.end(view);
        expect(view.text('pty')).toBe('24 80\r\ntty\r\nhi\r\n');
        expect(view.exited?.exitCode).toBe(7);
        const echo = await client.runShell('exec < /dev/tty; echo opened > /dev/tty', { tty: true });
        expect(echo.text('pty')).toBe('opened\r\n');
      },
    },
    {
      id: 'EN-10',
      title: 'a PTY has the size that its start names',
      covers: ['process/start'],
      needs: ['stty'],
      run: async (context) => {
        const client = await context.open();
        const view = await client.run({
          argv: ['stty', 'size'],
          tty: true,
          size: { rows: 61, cols: 65_535 },
        });
        expect(view.text('pty')).toBe('61 65535\r\n');
      },
    },
  ],
};
