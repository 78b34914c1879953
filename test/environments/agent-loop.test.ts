import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { executorVariables } from '../support/conformance-targets.ts';

const example = path.resolve(import.meta.dirname, '..', '..', 'examples', 'agent-loop.ts');
const mark = randomUUID();
let folder = '';
let project = '';

/** A project whose test fails until somebody mends it. */
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'exec-agent-'));
  project = path.join(folder, 'project');
  await mkdir(project);
  await writeFile(path.join(project, 'add.sh'), 'echo $(($1 - $2))\n');
  await writeFile(path.join(project, 'obsolete.txt'), 'old\n');
  await writeFile(
    path.join(project, 'test.sh'),
    'got=$(sh ./add.sh 40 2); [ "$got" = 42 ] || { echo "got $got"; exit 1; }\n',
  );
  await chmod(path.join(project, 'test.sh'), 0o755);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  await expectNothingLeft(mark);
});

const calls = [
  { tool: 'run', arguments: { command: './test.sh' } },
  { tool: 'read', arguments: { path: 'add.sh' } },
  { tool: 'write', arguments: { path: 'add.sh', text: 'echo $(($1 + $2))\n' } },
  { tool: 'write', arguments: { path: 'notes/done.md', text: 'mended\n' } },
  { tool: 'run', arguments: { command: 'rm obsolete.txt; ./test.sh; touch /etc/agent-was-here' } },
];

async function run(...args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [example, '--project', project, ...args], {
    env: { ...executorVariables(mark), TMPDIR: folder, XDG_CONFIG_HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect(errors).toBe('');
  expect(child.exitCode, out).toBe(0);
  return out;
}

async function expectMended(out: string): Promise<void> {
  expect(out).toMatch(/> run \.\/test\.sh\ngot 38\nexit code 1/);
  expect(out).toMatch(/> read add\.sh\necho \$\(\(\$1 - \$2\)\)/);
  // The last command mends nothing outside: its sandbox is the workspace.
  expect(out).toMatch(/touch: .*\nexit code 1\n/);
  expect(await readFile(path.join(project, 'add.sh'), 'utf8')).toBe('echo $(($1 + $2))\n');
  expect(await readFile(path.join(project, 'notes', 'done.md'), 'utf8')).toBe('mended\n');
  expect((await readdir(project)).toSorted()).toEqual(['add.sh', 'notes', 'test.sh']);
  // Neither the copy nor the state of the sync stays.
  expect((await readdir(folder)).filter((name) => name.startsWith('agent-state'))).toEqual([]);
}

test('a script mends a project in a copy, and the result comes back', async () => {
  const script = path.join(folder, 'calls.json');
  await writeFile(script, JSON.stringify(calls));
  await expectMended(await run('--script', script, '--environment', 'local'));
});

test('a model behind an API does the same', async () => {
  const bodies: { messages: { role: string; content: string }[] }[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      bodies.push(JSON.parse(body) as (typeof bodies)[number]);
      const call = calls[bodies.length - 1];
      const called = call && {
        id: `call-${bodies.length}`,
        type: 'function',
        function: { name: call.tool, arguments: JSON.stringify(call.arguments) },
      };
      const message = {
        role: 'assistant',
        content: call === undefined ? 'It works now.' : null,
        ...(called && { tool_calls: [called] }),
      };
      response.end(JSON.stringify({ choices: [{ message }] }));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const out = await run('--model', url, '--task', 'Mend it.');
    await expectMended(out);
    expect(out).toContain('It works now.');
    expect(bodies[0]?.messages).toEqual([{ role: 'user', content: 'Mend it.' }]);
    expect(bodies[1]?.messages.at(-1)).toMatchObject({ role: 'tool', content: 'got 38\nexit code 1' });
  } finally {
    server.close();
  }
});
