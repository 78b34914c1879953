import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { createHome, installCodex, portOf } from '../support/reference.ts';
import { type CliRun, runCodexCli } from './codex-cli.ts';
import { startExecutor } from './executor.ts';
import { type ProcessRecord, type WireMessage, startRecordingProxy } from './recording-proxy.ts';
import { type ModelRequest, type ToolCall, type Turn, startScriptedModel } from './scripted-model.ts';

/** The first wraps a command into its own helper; the others send a context with the request. */
const RELEASES = ['0.129.0', '0.145.0', '0.169.0'];
/** An upper bound only: a call returns as soon as its command ends. */
const WAIT_MS = 30_000;
const ownExecutor = (process.env['INTEROP_EXECUTOR'] || 'own') === 'own';

interface Conversation {
  /** The text of the CLI's answer to each call. */
  readonly outputs: readonly string[];
  readonly processes: readonly ProcessRecord[];
  /** What the CLI asked of the executor. */
  readonly calls: readonly WireMessage[];
}

let project: string;
let outside: string;

/** Not in the temporary directory, which workspace-write makes writable. */
beforeEach(async () => {
  [project, outside] = await Promise.all([createHome('project'), createHome('outside')]);
  await mkdir(path.join(project, '.git'));
  await writeFile(path.join(project, '.git', 'config'), 'untouched\n');
  await writeFile(path.join(project, 'read.txt'), 'can be read\n');
});

afterEach(async () => {
  await Promise.all([project, outside].map((folder) => rm(folder, { recursive: true, force: true })));
});

describe.each(RELEASES)('Codex CLI %s', (release) => {
  beforeAll(async () => {
    await installCodex(release);
  });

  describe('in workspace-write', () => {
    const sandbox = 'workspace-write';

    test('writes inside of the project, and neither outside nor to its metadata', async () => {
      const { outputs, processes } = await converse({ release, sandbox }, [
        shell('cat read.txt && echo in > inside.txt'),
        shell(`echo out > ${outside}/outside.txt`),
        shell('echo changed > .git/config'),
        shell('mkdir -p .codex/hooks'),
        shell('mv .git elsewhere'),
      ]);

      expect(outputs[0]).toContain('can be read');
      expect(outputs.map(exitCode)).toEqual([0, 1, 1, 1, 1]);
      expect(outputs[1]).toMatch(/Read-only file system|Permission denied/);
      expect(await readFile(path.join(project, 'inside.txt'), 'utf8')).toBe('in\n');
      await expectUntouched(['.git', 'inside.txt', 'read.txt']);
      expectConfined(processes, 5);
    });

    test('reaches no server', async () => {
      await using server = await startServer();
      const { outputs } = await converse({ release, sandbox }, [shell(connecting(server.port))]);
      expect(outputs[0]).toContain('no connection');
      expect(server.connections()).toBe(0);
    });

    test('patches inside of the project, and neither outside nor its metadata', async () => {
      // By its name this is inside: the CLI lets it pass, and the executor has to refuse it.
      await symlink(outside, path.join(project, 'link'));
      const { outputs, calls } = await converse({ release, sandbox }, [
        applyPatch('*** Add File: nested/new.txt', '+patched'),
        applyPatch('*** Update File: read.txt', '@@', '-can be read', '+was patched'),
        applyPatch(`*** Add File: ${outside}/outside.txt`, '+patched'),
        applyPatch('*** Update File: .git/config', '@@', '-untouched', '+patched'),
        applyPatch('*** Add File: link/outside.txt', '+patched'),
      ]);

      expect(outputs[0]).toContain('A nested/new.txt');
      expect(outputs[1]).toContain('M read.txt');
      for (const refused of outputs.slice(2)) expect(refused).not.toContain('Success');
      expect(await readFile(path.join(project, 'nested', 'new.txt'), 'utf8')).toBe('patched\n');
      expect(await readFile(path.join(project, 'read.txt'), 'utf8')).toBe('was patched\n');
      await expectUntouched(['.git', 'link', 'nested', 'read.txt']);
      const writes = calls.filter(({ method }) => method === 'fs/writeFile');
      expect(writes.some(({ params }) => String(params?.['path']).endsWith('/link/outside.txt'))).toBe(true);
      for (const { params } of writes) {
        expect(params).toMatchObject({ sandbox: { permissions: { type: 'managed' } } });
      }
    });
  });

  describe('in read-only', () => {
    const sandbox = 'read-only';

    test('reads, and writes nowhere', async () => {
      await using server = await startServer();
      const { outputs, processes } = await converse({ release, sandbox }, [
        shell('cat read.txt && echo in > inside.txt'),
        shell(`echo out > ${outside}/outside.txt`),
        shell(connecting(server.port)),
      ]);

      expect(outputs[0]).toContain('can be read');
      expect(outputs.slice(0, 2).map(exitCode)).toEqual([1, 1]);
      expect(outputs[2]).toContain('no connection');
      expect(server.connections()).toBe(0);
      await expectUntouched(['.git', 'read.txt']);
      expectConfined(processes, 3);
    });

    test('patches nothing', async () => {
      const { outputs } = await converse({ release, sandbox }, [
        applyPatch('*** Add File: new.txt', '+patched'),
        applyPatch('*** Update File: read.txt', '@@', '-can be read', '+was patched'),
      ]);

      for (const refused of outputs) expect(refused).not.toContain('Success');
      expect(await readFile(path.join(project, 'read.txt'), 'utf8')).toBe('can be read\n');
      await expectUntouched(['.git', 'read.txt']);
    });
  });
});

/** Without the names that stand in for what is missing, which have to be gone by now. */
async function expectUntouched(entries: readonly string[]): Promise<void> {
  expect((await readdir(project)).toSorted()).toEqual(entries);
  expect(await readdir(path.join(project, '.git'))).toEqual(['config']);
  expect(await readFile(path.join(project, '.git', 'config'), 'utf8')).toBe('untouched\n');
  expect(await readdir(outside)).toEqual([]);
}

/** The wrapper of the older release is never run: what it asks for is ours to enforce. */
function expectConfined(processes: readonly ProcessRecord[], count: number): void {
  expect(processes).toHaveLength(count);
  if (!ownExecutor) return;
  for (const { answer } of processes) {
    expect(answer['sandboxType']).toBe('linuxSeccomp');
    expect(answer['sandbox']).toEqual({ enforcer: 'bubblewrap', givenUp: [] });
  }
}

function shell(cmd: string): ToolCall {
  return { tool: 'exec_command', arguments: { cmd, yield_time_ms: WAIT_MS } };
}

/** Neither release offers apply_patch to this model as a tool of its own: it sees the command in the shell and carries it out itself. */
function applyPatch(...lines: readonly string[]): ToolCall {
  return shell(`apply_patch <<'EOF'\n${['*** Begin Patch', ...lines, '*** End Patch'].join('\n')}\nEOF\n`);
}

/** In bash, which the CLI runs commands with. */
function connecting(port: number): string {
  return `(exec 3<>/dev/tcp/127.0.0.1/${port}) && echo connected || echo no connection`;
}

function exitCode(output: string): number | undefined {
  const code = /^Process exited with code (\d+)$/mu.exec(output)?.[1];
  return code === undefined ? undefined : Number(code);
}

interface Server extends AsyncDisposable {
  readonly port: number;
  readonly connections: () => number;
}

async function startServer(): Promise<Server> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: portOf(server),
    connections: () => connections,
    [Symbol.asyncDispose]: async () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

/** One run of the CLI in the project, in which the model makes these calls, one after the other. */
async function converse(
  { release, sandbox }: Required<Pick<CliRun, 'release' | 'sandbox'>>,
  toolCalls: readonly ToolCall[],
): Promise<Conversation> {
  await using executor = await startExecutor(release);
  await using proxy = await startRecordingProxy(executor.url);
  await using model = await startScriptedModel(async function* (): AsyncGenerator<Turn, Turn, ModelRequest> {
    for (const call of toolCalls) yield call;
    return { text: 'The script is done.' };
  });
  const run = { release, sandbox, executorUrl: proxy.url, modelUrl: model.url, workFolder: project };
  const cli = await runCodexCli(run);
  expect(model.problems, cli.stderr).toEqual([]);
  expect(cli.exitCode, cli.stderr).toBe(0);
  const calls = proxy.messages.filter(({ from }) => from === 'client').map(({ message }) => message);
  return { outputs: model.toolOutputs, processes: proxy.processes(), calls };
}
