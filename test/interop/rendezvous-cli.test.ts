import { mkdtemp, readFile, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { installCodex } from '../support/reference.ts';
import { runCodexCli } from './codex-cli.ts';
import {
  type Background,
  type RendezvousService,
  startOwnAt,
  startRendezvousService,
} from './rendezvous-service.ts';
import { type ModelRequest, type ToolCall, startScriptedModel } from './scripted-model.ts';

/** 0.130.0 speaks plain JSON-RPC wherever it connects to; 0.139.0 speaks relay frames where the URL says `role=harness`. */
const RELEASES = ['0.130.0', '0.139.0'] as const;
/** How our executor waits at the rendezvous. */
const TRANSPORTS = ['relay', 'direct'] as const;
/** An upper bound only: a call returns as soon as its command ends. */
const WAIT_MS = 30_000;

let service: RendezvousService;
let folder: string;

beforeAll(async () => {
  await Promise.all(RELEASES.map((release) => installCodex(release)));
  service = await startRendezvousService();
});

afterAll(() => service[Symbol.asyncDispose]());

beforeEach(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'interop-rendezvous-')));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe.each(TRANSPORTS)('our executor at the rendezvous, by %s', (transport) => {
  const environmentId = `own-${transport}`;
  let executor: Background;

  beforeAll(async () => {
    const flags = ['--environment-id', environmentId, '--remote-transport', transport];
    executor = await startOwnAt(service, flags);
  });

  afterAll(() => executor[Symbol.asyncDispose]());

  test.each(RELEASES)('runs the commands of Codex CLI %s', async (release) => {
    const outputs = await converse(release, [
      execCommand('echo "to stdout: $((40 + 2))"; echo "to stderr: $((50 + 5))" >&2; exit 3'),
      execCommand('seq 1 20000 | tee numbers | tail -n 2; pwd'),
    ]);
    expect(outputs[0]).toContain('Process exited with code 3');
    expect(outputs[0]).toContain('to stdout: 42');
    expect(outputs[0]).toContain('to stderr: 55');
    expect(outputs[1]).toContain(`19999\n20000\n${folder}`);
    expect((await readFile(path.join(folder, 'numbers'), 'utf8')).split('\n')).toHaveLength(20_001);
    await expectOurs('numbers');
  });

  test.each(RELEASES)('changes files for Codex CLI %s', async (release) => {
    const patch = ['*** Begin Patch', '*** Add File: new.txt', '+grün 🌲', '*** End Patch'].join('\n');
    const [output] = await converse(release, [execCommand(`apply_patch <<'EOF'\n${patch}\nEOF\n`)]);
    expect(output).toContain('A new.txt');
    expect(await readFile(path.join(folder, 'new.txt'), 'utf8')).toBe('grün 🌲\n');
    await expectOurs('new.txt');
  });

  /** One run of the CLI in which the model makes these calls. Answers what the model was told of each. */
  async function converse(release: string, calls: readonly ToolCall[]): Promise<readonly string[]> {
    await using model = await startScriptedModel(async function* (): AsyncGenerator<
      ToolCall,
      { readonly text: string },
      ModelRequest
    > {
      for (const call of calls) yield call;
      return { text: 'The script is done.' };
    });
    const { url } = await service.ticket(environmentId);
    expect(url).toContain('role=harness');
    const cli = await runCodexCli({ release, executorUrl: url, modelUrl: model.url, workFolder: folder });
    expect(model.problems, cli.stderr).toEqual([]);
    expect(cli.exitCode, cli.stderr).toBe(0);
    expect(cli.stdout).toContain('The script is done.');
    return model.toolOutputs;
  }
});

/** The CLI runs on the same machine: the executor, and not the CLI, must have made it. */
async function expectOurs(name: string): Promise<void> {
  const { mode } = await stat(path.join(folder, name));
  expect((mode & 0o777).toString(8)).toBe('600');
}

function execCommand(cmd: string): ToolCall {
  return { tool: 'exec_command', arguments: { cmd, yield_time_ms: WAIT_MS } };
}
