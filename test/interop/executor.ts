import path from 'node:path';

import {
  createHome,
  environmentWithHome,
  launchExecutor,
  startReferenceExecutor,
  type RunningExecutor,
} from '../support/reference.ts';

const REPOSITORY = path.resolve(import.meta.dirname, '..', '..');

/**
 * Starts the executor under test from its sources.
 *
 * `INTEROP_EXECUTOR=reference` starts the executor of the given Codex release in its place. A test that fails against
 * that one has found a fault in the test, not in our executor.
 */
export async function startExecutor(release: string): Promise<RunningExecutor> {
  const choice = process.env['INTEROP_EXECUTOR'] || 'own';
  if (choice === 'reference') return startReferenceExecutor(release);
  if (choice !== 'own') throw new Error(`INTEROP_EXECUTOR is "${choice}", but must be "reference" or unset`);
  const home = await createHome('executor');
  return launchExecutor({
    command: process.execPath,
    args: [path.join('src', 'main.ts'), '--listen', 'ws://127.0.0.1:0'],
    cwd: REPOSITORY,
    env: environmentWithHome(home),
    home,
  });
}
