import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { EnvironmentManager, defaultProvider } from '../../src/environments/environments.ts';
import { expectNothingLeft, markVariable } from '../support/conformance-leftovers.ts';
import { executorVariables } from '../support/conformance-targets.ts';
import { installCodex } from '../support/reference.ts';
import { runCodexCli } from './codex-cli.ts';
import { startScriptedModel } from './scripted-model.ts';

const release = '0.169.0';
const main = path.resolve(import.meta.dirname, '..', '..', 'src', 'main.ts');
const mark = randomUUID();
let folder = '';

beforeAll(async () => {
  await installCodex(release);
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'interop-environments-')));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Works for the CLI and for us. */
const file = (): string => `
default = "ours"
include_local = false

[[environments]]
id = "ours"
program = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(main)}, "serve", "--listen", "stdio"]
env = { ${markVariable} = "${mark}", NO_COLOR = "1" }
cwd = ${JSON.stringify(folder)}
initialize_timeout_sec = 60
`;

/** Says who has started it, writes where it is, and fails in a way of its own. */
const script = `tr '\\0' ' ' < /proc/$PPID/cmdline; echo written by $((40 + 2)) > here; exit 3`;

test(`Codex CLI ${release} starts our executor from its environments.toml, and ends it`, async () => {
  await using model = await startScriptedModel(async function* () {
    yield { tool: 'exec_command', arguments: { cmd: script, yield_time_ms: 30_000 } };
    return { text: 'The script is done.' };
  });
  const cli = await runCodexCli({ release, environments: file(), modelUrl: model.url, workFolder: folder });
  expect(model.problems, cli.stderr).toEqual([]);
  expect(cli.exitCode, cli.stderr).toBe(0);
  expect(cli.stdout).toContain('The script is done.');
  const seen = model.toolOutputs.join('');
  expect(seen).toContain('Process exited with code 3');
  expect(seen).toContain(`${main} serve --listen stdio`);
  expect(await readFile(path.join(folder, 'here'), 'utf8')).toBe('written by 42\n');
  await expectNothingLeft(mark);
});

test('our manager reads the same file', async () => {
  const home = path.join(folder, 'codex-home');
  await mkdir(home);
  await writeFile(path.join(home, 'environments.toml'), file());
  const variables = { ...executorVariables(mark), HOME: folder, CODEX_HOME: home };
  await using manager = await EnvironmentManager.create(defaultProvider({ variables }));
  expect(manager.list().map(({ id }) => id)).toEqual(['ours']);
  const child = await manager.get().processes.start({ argv: ['/bin/sh', '-c', script] });
  expect((await child.stdout.collect()).toString()).toContain(`${main} serve --listen stdio`);
  expect(await child.exited).toMatchObject({ exitCode: 3 });
  await manager[Symbol.asyncDispose]();
  await expectNothingLeft(mark);
});
