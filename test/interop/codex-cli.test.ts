import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { beforeAll, describe, expect, test } from 'vitest';

import { installCodex } from '../support/reference.ts';
import { runCodexCli } from './codex-cli.ts';
import { startExecutor } from './executor.ts';
import { startRecordingProxy, type ProcessRecord, type RecordingProxy } from './recording-proxy.ts';
import { startScriptedModel, type ModelRequest, type ToolCall, type Turn } from './scripted-model.ts';

/** One release of each generation of the protocol: plain paths and reads, file URIs and pushed events. */
const RELEASES = ['0.129.0', '0.169.0'];
/** Upper bounds only: a call returns as soon as its command ends. */
const FIRST_WAIT_MS = 30_000;
const POLL_MS = 60_000;
/** Short enough that a call returns while the command still runs. */
const SHORT_WAIT_MS = 250;

/** Yields tool calls and receives the CLI's answer to each. */
type Actions = AsyncGenerator<ToolCall, void, ModelRequest>;

interface Scene {
  readonly proxy: RecordingProxy;
  /** Where the command runs. */
  readonly workFolder: string;
}

describe.each(RELEASES)('Codex CLI %s', (release) => {
  beforeAll(async () => {
    await installCodex(release);
  });

  test('hands the model the output and the exit status of a command', async () => {
    const { process, seen } = await converse(release, () =>
      runToExit({ cmd: 'echo "to stdout: $((40 + 2))"; echo "to stderr: $((50 + 5))" >&2; exit 3' }),
    );

    expect(seen).toContain('Process exited with code 3');
    expect(seen).toContain('to stdout: 42\n');
    expect(seen).toContain('to stderr: 55\n');
    expect(textOf(process, 'stdout')).toBe('to stdout: 42\n');
    expect(textOf(process, 'stderr')).toBe('to stderr: 55\n');
    expect(process.exited?.exitCode).toBe(3);
    expectEverySequenceNumberOnce(process);
  });

  test('receives the lines of a slow command while it runs', async () => {
    // The command cannot end before the gate opens, and the gate opens only when line 5 has come through.
    const command = `for n in 1 2 3 4 5; do echo "line $n"; sleep 0.4; done
      until [ -e gate ]; do sleep 0.05; done
      echo 'line 6'`;
    const { process, seen } = await converse(release, async function* ({ proxy, workFolder }) {
      const running = yield execCommand({ cmd: command, yield_time_ms: SHORT_WAIT_MS });
      await proxy.waitFor('the fifth line', showsText('line 5\n'));
      await writeFile(path.join(workFolder, 'gate'), '');
      yield* poll(running);
    });

    const whole = 'line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n';
    expect(seen.match(/^line \d$/gmu)?.join('\n')).toBe(whole.trimEnd());
    expect(seen).toContain('Process exited with code 0');
    expect(textOf(process, 'stdout')).toBe(whole);
    expectEverySequenceNumberOnce(process);
  });

  test('holds a conversation with an interactive Python on a PTY until end of file', async () => {
    // The newer interactive shell of Python redraws its line, the basic one just prints.
    const python = { cmd: 'PYTHON_BASIC_REPL=1 python3 -q', tty: true, yield_time_ms: SHORT_WAIT_MS };
    const { process, seen } = await converse(release, async function* ({ proxy }) {
      const started = yield execCommand(python);
      await proxy.waitFor('the first prompt', showsText('>>> '));
      yield writeStdin(started, 'import sys; print(sys.stdin.isatty(), 6 * 7)\n', SHORT_WAIT_MS);
      await proxy.waitFor('the answer and the next prompt', showsText('True 42\r\n>>> '));
      yield* poll(yield writeStdin(started, '\x04', SHORT_WAIT_MS));
    });

    expect(process.start['tty']).toBe(true);
    expect(new Set(process.pushed.map((chunk) => chunk.stream))).toEqual(new Set(['pty']));
    expect(seen).toContain('>>> ');
    expect(seen).toContain('6 * 7)\r\nTrue 42\r\n');
    expect(seen).toContain('Process exited with code 0');
    expect(process.exited?.exitCode).toBe(0);
    expectEverySequenceNumberOnce(process);
  });

  test('receives 200000 lines whole', async () => {
    const lines = 200_000;
    const { process, seen } = await converse(release, () => runToExit({ cmd: `seq ${lines}` }));

    const expected = Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join('');
    const received = textOf(process, 'stdout');
    expect(received.split('\n').length - 1).toBe(lines);
    expect(sha256(received)).toBe(sha256(expected));
    expectEverySequenceNumberOnce(process);
    // The CLI shortens the text for the model, but not its end.
    expect(seen.trimEnd()).toMatch(/\n199999\n200000$/u);
    expect(seen).toContain('Process exited with code 0');
  });
});

/** One run of the CLI with one command: what the executor said about it, and what the model saw of it. */
async function converse(
  release: string,
  act: (scene: Scene) => Actions,
): Promise<{ process: ProcessRecord; seen: string }> {
  await using executor = await startExecutor(release);
  await using proxy = await startRecordingProxy(executor.url);
  const workFolder = await mkdtemp(path.join(tmpdir(), 'interop-'));
  try {
    await using model = await startScriptedModel(async function* (): AsyncGenerator<
      Turn,
      Turn,
      ModelRequest
    > {
      yield* act({ proxy, workFolder });
      // The last notifications must not be lost to the end of the CLI.
      await proxy.waitFor(
        'the end of the process',
        ({ processes }) => processes().at(-1)?.closed !== undefined,
      );
      return { text: 'The script is done.' };
    });
    const cli = await runCodexCli({ release, executorUrl: proxy.url, modelUrl: model.url, workFolder });
    expect(model.problems, cli.stderr).toEqual([]);
    expect(cli.exitCode, cli.stderr).toBe(0);
    expect(cli.stdout).toContain('The script is done.');
    const [process, ...others] = proxy.processes();
    if (process === undefined || others.length > 0)
      throw new Error('the CLI did not start exactly one process');
    expectReadsToAgree(process);
    return { process, seen: model.toolOutputs.join('') };
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

async function* runToExit(command: { readonly cmd: string }): Actions {
  yield* poll(yield execCommand({ ...command, yield_time_ms: FIRST_WAIT_MS }));
}

/** Asks for news until there is no session any more, which means that the command ended. */
async function* poll(reply: ModelRequest): Actions {
  let latest = reply;
  while (findSession(latest) !== undefined) latest = yield writeStdin(latest, '', POLL_MS);
}

function execCommand(command: {
  readonly cmd: string;
  readonly tty?: boolean;
  readonly yield_time_ms: number;
}) {
  return { tool: 'exec_command', arguments: command };
}

function writeStdin(reply: ModelRequest, chars: string, waitMs: number) {
  const session = findSession(reply);
  if (session === undefined) throw new Error(`the command is not running any more: ${reply.toolOutput}`);
  return { tool: 'write_stdin', arguments: { session_id: session, chars, yield_time_ms: waitMs } };
}

function findSession(reply: ModelRequest): number | undefined {
  const session = /^Process running with session ID (\d+)$/mu.exec(reply.toolOutput)?.[1];
  return session === undefined ? undefined : Number(session);
}

function showsText(text: string) {
  return ({ processes }: RecordingProxy) => processes().some((process) => textOf(process).includes(text));
}

function textOf(process: ProcessRecord, stream?: string): string {
  const chunks = process.pushed.filter((chunk) => stream === undefined || chunk.stream === stream);
  return Buffer.concat(chunks.map((chunk) => chunk.bytes)).toString('utf8');
}

/** Output, exit and close share one counter, which starts at 1 and which the close ends. */
function expectEverySequenceNumberOnce(process: ProcessRecord): void {
  const last = process.closed?.seq ?? 0;
  const numbers = [...process.pushed.map((chunk) => chunk.seq), process.exited?.seq, last];
  expect(numbers.sort((one, other) => Number(one) - Number(other))).toEqual(
    Array.from({ length: last }, (_, index) => index + 1),
  );
}

/** What a release reads must be what the executor also pushed. */
function expectReadsToAgree(process: ProcessRecord): void {
  const pushed = new Map(process.pushed.map((chunk) => [chunk.seq, chunk]));
  for (const chunk of process.read) expect(chunk).toEqual(pushed.get(chunk.seq));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
