import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';

import { afterAll, expect, test } from 'vitest';

import { ExecClient } from '../../../src/client/exec-client.ts';
import { cli, cliFolder, cliVariables, main, startServer } from '../../support/cli-program.ts';
import { expectNothingLeft } from '../../support/conformance-leftovers.ts';
import { requireSandbox } from '../../support/sandbox-arena.ts';

interface Report {
  readonly profiles: Readonly<Record<string, { readonly enforced: boolean }>>;
  readonly host: Readonly<
    Record<'bubblewrap' | 'landlock', { readonly usable: boolean; readonly problem?: string }>
  >;
  readonly allowWeaker: readonly string[];
}

const mark = randomUUID();

afterAll(async () => expectNothingLeft(mark));

test('says of every profile what enforces it, for people', async () => {
  const { status, stdout, stderr } = await cli(['doctor'], { mark });
  expect(stderr).toBe('');
  const rows = [...stdout.matchAll(/^ {2}(yes|no ) {2}(\S.{0,18}\S) {2,}\S/gm)];
  expect(rows.map(([, , name]) => name)).toEqual([
    'launcher',
    'bubblewrap',
    'own /proc',
    'Landlock',
    'broker',
    'state folder',
    'restricted network',
    'read-only',
    'workspace-write',
    'restricted read',
    'denial in a grant',
  ]);
  const refused = rows.slice(6).some(([, good]) => good === 'no ');
  expect(status).toBe(refused ? 1 : 0);
});

test('says what is missing and how to mend it', async () => {
  const { status, stdout } = await cli(['doctor', '--bubblewrap', 'off'], { mark });
  expect(status).toBe(1);
  expect(stdout).toMatch(/^ {2}no {3}bubblewrap +bubblewrap is switched off\n +To change that: \S/m);
  expect(stdout).toMatch(/^ {2}no {3}denial in a grant +\S.*\n +To change that: \S/m);
});

test('takes the same options as serve, and says the same as its environment', async () => {
  const env = { EXEC_SERVER_BUBBLEWRAP: 'off', EXEC_SERVER_ALLOW_WEAKER: 'protected-metadata' };
  const { status, stdout } = await cli(['doctor', '--json'], { mark, env });
  const report = JSON.parse(stdout) as Report;
  expect(report.host.bubblewrap).toMatchObject({ usable: false, problem: 'bubblewrap is switched off' });
  expect(report.allowWeaker).toEqual(['protected-metadata']);
  expect(status).toBe(Object.values(report.profiles).every(({ enforced }) => enforced) ? 0 : 1);

  await using server = await startServer([], { mark, env });
  await using client = await ExecClient.connect({ url: server.url });
  const facts = client.environment?.capabilities?.execServer?.sandbox;
  expect(facts?.profiles).toEqual(report.profiles);
  expect(facts?.bubblewrap.usable).toBe(false);
});

test('does not count on Landlock where the launcher cannot look into what it starts', async (context) => {
  requireSandbox(context);
  // A /proc with nothing in it, and no right to read memory by the other way: as where a policy forbids both.
  const inside = `--ro-bind / / --dev /dev --tmpfs /proc --bind ${tmpdir()} ${tmpdir()} --`.split(' ');
  const command = [process.execPath, main, 'doctor', '--bubblewrap', 'off', '--json'];
  const failed = promisify(execFile)('/usr/bin/bwrap', [...inside, ...command], {
    env: cliVariables({ mark }),
    timeout: 60_000,
  });
  const { stdout } = (await failed.catch((error: unknown) => error)) as { stdout: string };
  const report = JSON.parse(stdout) as Report;
  expect(report.host.landlock).toMatchObject({
    usable: false,
    problem: expect.stringContaining('memory') as string,
    fix: expect.stringContaining('ptrace_scope') as string,
  });
  expect(report.profiles).toMatchObject({
    readOnly: { enforced: false },
    workspaceWrite: { enforced: false },
  });
});

test('finds a folder for its state that others can use', async () => {
  await using folder = await cliFolder();
  await chmod(folder.path, 0o755);
  const { status, stdout } = await cli(['doctor', '--state-dir', folder.path], { mark });
  expect(status).toBe(1);
  expect(stdout).toMatch(/^ {2}no {3}state folder +\S.* must be a directory of this user/m);
  await chmod(folder.path, 0o700);
  expect((await cli(['doctor', '--state-dir', folder.path], { mark })).stdout).toContain(
    `yes  state folder        ${folder.path}\n`,
  );
});

test('refuses wrong options as serve does', async () => {
  expect(await cli(['doctor', '--bubblewrap', 'bwrap'], { mark })).toEqual({
    status: 1,
    stdout: '',
    stderr: 'Error: --bubblewrap: must be an absolute path, or "off"\n',
  });
  expect((await cli(['doctor', '--allow-weaker', 'everything'], { mark })).stderr).toBe(
    'Error: --allow-weaker: only "protected-metadata" can be given up\n',
  );
  expect((await cli(['doctor', '--unknown'], { mark })).status).toBe(2);
});
