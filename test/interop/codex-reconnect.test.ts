import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { beforeAll, describe, expect, test } from 'vitest';

import { type ChaosProxy, type Fault, startChaosProxy } from '../support/chaos-proxy.ts';
import { installCodex } from '../support/reference.ts';
import { runCodexCli } from './codex-cli.ts';
import { startExecutor } from './executor.ts';
import { type ModelRequest, type ToolCall, type Turn, startScriptedModel } from './scripted-model.ts';

/** Releases before it fail what runs when their connection is lost. */
const RELEASE = '0.169.0';
const LINES = 60;
/** Short enough that a call returns while the command still runs. */
const SHORT_WAIT_MS = 250;
const POLL_MS = 60_000;

interface Scene {
  readonly proxy: ChaosProxy;
  /** Where the command runs. */
  readonly folder: string;
}

describe(`Codex CLI ${RELEASE} behind a connection that breaks`, () => {
  beforeAll(async () => {
    await installCodex(RELEASE);
  });

  // The second half is not written before the connection was cut, and the end not before it was cut again.
  const command = `seq 1 ${LINES / 2}; until [ -e first ]; do sleep 0.05; done
    seq ${LINES / 2 + 1} ${LINES}; until [ -e second ]; do sleep 0.05; done; echo done >&2; exit 3`;

  test.each<Fault>([{ kind: 'drop' }, { kind: 'reset' }])(
    'sees the whole output of a long command after $kind',
    async (fault) => {
      const seen = await converse(async function* ({ proxy, folder }) {
        const running = yield {
          tool: 'exec_command',
          arguments: { cmd: command, yield_time_ms: SHORT_WAIT_MS },
        };
        const before = proxy.connections;
        proxy.strike(fault);
        await writeFile(path.join(folder, 'first'), '');
        const again = yield writeStdin(running, SHORT_WAIT_MS);
        proxy.strike(fault);
        await writeFile(path.join(folder, 'second'), '');
        let latest = again;
        while (session(latest) !== undefined) latest = yield writeStdin(latest, POLL_MS);
        expect(proxy.connections).toBeGreaterThanOrEqual(before + 2);
      });
      const lines = Array.from({ length: LINES }, (_, index) => String(index + 1));
      expect(seen.match(/^\d+$/gmu)).toEqual(lines);
      expect(seen).toContain('done\n');
      expect(seen).toContain('Process exited with code 3');
    },
  );
});

/** One run of the CLI. Answers all that the model saw of the command. */
async function converse(
  act: (scene: Scene) => AsyncGenerator<ToolCall, void, ModelRequest>,
): Promise<string> {
  await using executor = await startExecutor(RELEASE);
  await using proxy = await startChaosProxy(executor.url);
  const folder = await mkdtemp(path.join(tmpdir(), 'interop-'));
  try {
    await using model = await startScriptedModel(async function* (): AsyncGenerator<
      Turn,
      Turn,
      ModelRequest
    > {
      yield* act({ proxy, folder });
      return { text: 'The script is done.' };
    });
    const run = { release: RELEASE, executorUrl: proxy.url, modelUrl: model.url, workFolder: folder };
    const cli = await runCodexCli(run);
    expect(model.problems, cli.stderr).toEqual([]);
    expect(cli.exitCode, cli.stderr).toBe(0);
    return model.toolOutputs.join('');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function session({ toolOutput }: ModelRequest): number | undefined {
  const id = /^Process running with session ID (\d+)$/mu.exec(toolOutput)?.[1];
  return id === undefined ? undefined : Number(id);
}

function writeStdin(reply: ModelRequest, waitMs: number): ToolCall {
  const id = session(reply);
  if (id === undefined) throw new Error(`the command is not running any more: ${reply.toolOutput}`);
  return { tool: 'write_stdin', arguments: { session_id: id, chars: '', yield_time_ms: waitMs } };
}
