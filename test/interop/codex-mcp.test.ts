import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { beforeAll, describe, expect, test } from 'vitest';

import { installCodex } from '../support/reference.ts';
import { runCodexCli } from './codex-cli.ts';
import { startExecutor } from './executor.ts';
import { type RecordingProxy, startRecordingProxy } from './recording-proxy.ts';
import { type ModelRequest, type Turn, startScriptedModel } from './scripted-model.ts';

const release = '0.129.0';
const serverFile = path.resolve(import.meta.dirname, '..', 'fixtures', 'mcp-server.ts');

describe(`MCP servers of Codex CLI ${release} behind our executor`, () => {
  beforeAll(async () => {
    await installCodex(release);
  });

  test('a streamable HTTP server is reached through http/request', async () => {
    await using server = await startHttpServer();
    const proxy = await converse(`url = "${server.url}"`);
    const requests = proxy.calls('http/request');
    expect(requests.length).toBeGreaterThanOrEqual(3);
    expect(requests.every((params) => params['url'] === server.url)).toBe(true);
    expect(proxy.calls('process/start')).toEqual([]);
  });

  test('a server on standard streams is started and talked to', async () => {
    const command = `command = ${JSON.stringify(process.execPath)}\nargs = ${JSON.stringify([serverFile])}`;
    const proxy = await converse(command);
    expect(proxy.calls('process/start').length).toBe(1);
    expect(proxy.calls('process/start')[0]).toMatchObject({ pipeStdin: true, tty: false });
    expect(proxy.calls('http/request')).toEqual([]);
  });
});

/** One run of the CLI in which the model calls the tool of the server once. */
async function converse(server: string): Promise<{ calls: (method: string) => Record<string, unknown>[] }> {
  await using executor = await startExecutor(release);
  await using proxy = await startRecordingProxy(executor.url);
  const workFolder = await mkdtemp(path.join(tmpdir(), 'interop-mcp-'));
  try {
    await using model = await startScriptedModel(async function* (
      first: ModelRequest,
    ): AsyncGenerator<Turn, Turn, ModelRequest> {
      const namespace = first.tools.find((name) => name.includes('adder'));
      if (namespace === undefined)
        throw new Error(`there is no tool of the server among ${first.tools.join()}`);
      yield { tool: 'add', namespace, arguments: { a: 19, b: 23 } };
      return { text: 'The script is done.' };
    });
    const cli = await runCodexCli({
      release,
      executorUrl: proxy.url,
      modelUrl: model.url,
      workFolder,
      configuration: `
[mcp_servers.adder]
experimental_environment = "remote"
startup_timeout_sec = 60
${server}
`,
    });
    expect(model.problems, cli.stderr).toEqual([]);
    expect(cli.exitCode, cli.stderr).toBe(0);
    expect(model.toolOutputs.join('\n')).toContain('the sum is 42');
    return { calls: (method) => callsOf(proxy, method) };
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

function callsOf(proxy: RecordingProxy, method: string): Record<string, unknown>[] {
  return proxy.messages
    .filter(({ from, message }) => from === 'client' && message.method === method)
    .map(({ message }) => message.params ?? {});
}

/** The server beside the executor, as it would be in a container. */
async function startHttpServer(): Promise<AsyncDisposable & { readonly url: string }> {
  const child = spawn(process.execPath, [serverFile, 'http'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    },
  };
}
