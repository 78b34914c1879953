import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

import { expect, test } from 'vitest';

const main = path.resolve(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** Runs a script with an executor in a process of its own, which has nothing else to do. */
async function run(script: string): Promise<{ status: number | null; errors: string }> {
  const child = spawn(process.execPath, [main, 'run', '--', '/bin/sh', '-c', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (errors += text));
  await once(child, 'close');
  return { status: child.exitCode, errors };
}

test.each([
  ['exits at once', 'exit 3'],
  ['takes a while', 'sleep 1; exit 3'],
  ['closes its streams and goes on', 'exec <&- >&- 2>&-; sleep 1; exit 3'],
])('an executor in an idle process waits for a program that %s', async (_what, script) => {
  expect(await run(script)).toEqual({ status: 3, errors: '' });
});
