import { spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { createHome, environmentWithHome, installCodex, killGroup, within } from '../support/reference.ts';

export interface CliRun {
  readonly release: string;
  /** None, where `environments` says what there is. */
  readonly executorUrl?: string;
  /** Text of environments.toml. */
  readonly environments?: string;
  /** The `base_url` of the model provider. */
  readonly modelUrl: string;
  /** A folder both the CLI and the executor can see: commands run there. */
  readonly workFolder: string;
  /** What the CLI asks the executor to confine its commands and its files to; nothing if absent. */
  readonly sandbox?: 'read-only' | 'workspace-write' | 'danger-full-access';
  /** Further text of config.toml. */
  readonly configuration?: string;
}

export interface CliOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One conversation takes 3 s at most; the rest is for a loaded machine. */
const RUN_DEADLINE_MS = 120_000;

/** Runs `codex exec` to its end against an executor and a scripted model, with a home of its own. */
export async function runCodexCli(run: CliRun): Promise<CliOutcome> {
  const binary = await installCodex(run.release);
  const home = await createHome('cli');
  try {
    await mkdir(path.join(home, '.codex'));
    await writeFile(
      path.join(home, '.codex', 'config.toml'),
      configuration(run.modelUrl) + (run.configuration ?? ''),
    );
    if (run.environments !== undefined) {
      await writeFile(path.join(home, '.codex', 'environments.toml'), run.environments);
    }
    return await runToExit(binary, run, home);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function runToExit(binary: string, run: CliRun, home: string): Promise<CliOutcome> {
  const child = spawn(
    binary,
    [
      'exec',
      '--skip-git-repo-check',
      '--sandbox',
      run.sandbox ?? 'danger-full-access',
      'Do what the script says.',
    ],
    {
      cwd: run.workFolder,
      env: environmentWithHome(
        home,
        run.executorUrl === undefined ? {} : { CODEX_EXEC_SERVER_URL: run.executorUrl },
      ),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const closed = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    // A run that a signal ended counts as a failed one.
    child.once('close', (code) => resolve(code ?? -1));
  });
  try {
    const exitCode = await within(RUN_DEADLINE_MS, closed);
    if (exitCode !== undefined) return { exitCode, stdout, stderr };
  } finally {
    if (child.pid !== undefined) killGroup(child.pid);
  }
  await closed;
  throw new Error(`codex exec ${run.release} took longer than ${RUN_DEADLINE_MS} ms\n${stdout}\n${stderr}`);
}

/** The CLI retries nothing, so that a broken script shows at once. */
function configuration(modelUrl: string): string {
  return `model = "gpt-5.1"
model_provider = "scripted"
check_for_update_on_startup = false

[model_providers.scripted]
name = "scripted"
base_url = "${modelUrl}"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

[features]
unified_exec = true

[analytics]
enabled = false
`;
}
