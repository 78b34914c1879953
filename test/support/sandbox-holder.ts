import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { SandboxState } from '../../src/sandbox/state.ts';
import { expectSoon } from './unit-wait.ts';

/** Another process that has a state directory and placeholders in use, until it is killed. */
export interface Holder extends AsyncDisposable {
  readonly kill: () => Promise<void>;
}

const file = fileURLToPath(import.meta.url);

export async function startHolder(root: string, places: readonly string[]): Promise<Holder> {
  const child = spawn(process.execPath, [file, root, ...places], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  const ready = once(child.stdout, 'data');
  const ended = exited.then(() => {
    throw new Error('The holder has ended.');
  });
  ended.catch(() => {});
  await expectSoon('the leases of another process', Promise.race([ready, ended]));
  return { kill, [Symbol.asyncDispose]: kill };
}

if (process.argv[1] === file) {
  const [root = '', ...places] = process.argv.slice(2);
  const state = await SandboxState.open(root);
  for (const place of places) {
    const lease = await state.placeholder(Buffer.from(place));
    if (typeof lease !== 'object') throw new Error(`No lease of ${place}: ${lease}`);
  }
  process.stdout.write('ready\n');
  process.stdin.resume();
}
