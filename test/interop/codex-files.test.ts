import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { deflateSync, crc32 } from 'node:zlib';

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

import { installCodex, portOf } from '../support/reference.ts';
import { runCodexCli } from './codex-cli.ts';
import { startExecutor } from './executor.ts';
import { type WireMessage, startRecordingProxy } from './recording-proxy.ts';
import { type ModelRequest, type ToolCall, startScriptedModel } from './scripted-model.ts';

/** One release of each generation of the protocol: plain paths and file URIs. */
const RELEASES = ['0.129.0', '0.169.0'];
/** An upper bound only: a call returns as soon as its command ends. */
const WAIT_MS = 30_000;

/** Of a request to the model, what tells what the CLI has read for it. */
const modelRequest = z.object({
  input: z.array(
    z.looseObject({
      type: z.string(),
      output: z.union([z.string(), z.array(z.looseObject({ image_url: z.string().optional() }))]).optional(),
    }),
  ),
  tools: z.array(z.looseObject({ name: z.string().optional() })),
});

const permissionsOf = z.looseObject({
  permissions: z.looseObject({ type: z.string() }).default({ type: 'disabled' }),
});

type RawRequest = z.infer<typeof modelRequest>;

interface Conversation {
  /** The text of the CLI's answer to each call. */
  readonly outputs: readonly string[];
  /** All that the model was sent, oldest first. */
  readonly requests: readonly RawRequest[];
  /** What the CLI asked of the executor. */
  readonly calls: readonly WireMessage[];
}

let folder: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'interop-files-')));
});

afterEach(async () => rm(folder, { recursive: true, force: true }));

describe.each(RELEASES)('Codex CLI %s', (release) => {
  beforeAll(async () => {
    await installCodex(release);
  });

  test('adds, updates, moves and deletes files with apply_patch', async () => {
    await writeFile(path.join(folder, 'old.txt'), 'first\nsecond\nthird\n');
    await writeFile(path.join(folder, 'unwanted.txt'), 'unwanted\n');
    const { outputs, calls } = await converse(release, [
      applyPatch('*** Add File: nested/new.txt', '+line one', '+grün 🌲'),
      applyPatch('*** Update File: nested/new.txt', '@@', '-line one', '+line 1', ' grün 🌲'),
      applyPatch(
        '*** Update File: old.txt',
        '*** Move to: moved.txt',
        '@@',
        ' first',
        '-second',
        '+2nd',
        ' third',
      ),
      applyPatch('*** Delete File: unwanted.txt'),
    ]);

    expect(outputs.map((output) => /[AMD] \S+(?=\n|\\n)/.exec(output)?.[0])).toEqual([
      'A nested/new.txt',
      'M nested/new.txt',
      expect.stringMatching(/^M (?:old|moved)\.txt$/),
      'D unwanted.txt',
    ]);
    expect((await readdir(folder, { recursive: true })).toSorted()).toEqual([
      'moved.txt',
      'nested',
      'nested/new.txt',
    ]);
    expect(await readFile(path.join(folder, 'nested/new.txt'), 'utf8')).toBe('line 1\ngrün 🌲\n');
    expect(await readFile(path.join(folder, 'moved.txt'), 'utf8')).toBe('first\n2nd\nthird\n');
    // The CLI runs on the same machine: the executor, and not the CLI, must have done it. A write whose folder is not
    // there is repeated when the CLI has made the folder.
    expect(new Set(pathsOf(calls, 'fs/writeFile'))).toEqual(new Set(['nested/new.txt', 'moved.txt']));
    expect(pathsOf(calls, 'fs/createDirectory')).toContain('nested');
    expect(pathsOf(calls, 'fs/remove')).toEqual(['old.txt', 'unwanted.txt']);
    expect(calls.filter(({ method }) => method === 'process/start')).toEqual([]);
  });

  test('tells the model which patch does not fit, and leaves the file alone', async () => {
    await writeFile(path.join(folder, 'kept.txt'), 'kept\n');
    const { outputs } = await converse(release, [
      applyPatch('*** Update File: kept.txt', '@@', '-something else', '+changed'),
      applyPatch('*** Update File: missing.txt', '@@', '-kept', '+changed'),
    ]);

    expect(outputs[0]).toContain('Failed to find expected lines');
    expect(outputs[1]).toContain('missing.txt');
    expect(outputs[1]).toContain('No such file or directory');
    expect(await readFile(path.join(folder, 'kept.txt'), 'utf8')).toBe('kept\n');
    expect(await readdir(folder)).toEqual(['kept.txt']);
  });

  test('shows the model an image of the environment with view_image', async () => {
    const image = path.join(folder, 'small image.png');
    await writeFile(image, png(16, 16));
    const { requests, calls } = await converse(release, [{ tool: 'view_image', arguments: { path: image } }]);

    expect(requests[0]?.tools.map((tool) => tool.name)).toContain('view_image');
    const [type, data] = imagesOf(requests)[0]?.split(';base64,') ?? [];
    expect(type).toBe('data:image/png');
    expect(Buffer.from(data ?? '', 'base64')).toEqual(await readFile(image));
    expect(pathsOf(calls, 'fs/readFile')).toEqual(['small image.png']);
  });

  test('tells the model that an image is not there', async () => {
    const image = path.join(folder, 'missing.png');
    const { requests, outputs } = await converse(release, [
      { tool: 'view_image', arguments: { path: image } },
    ]);
    expect(imagesOf(requests)).toEqual([]);
    expect(outputs[0]).toMatch(/unable to locate image at .*missing\.png/);
  });

  test('tells the model what AGENTS.md says, from the root of the repository to the working directory', async () => {
    await mkdir(path.join(folder, '.git'));
    await mkdir(path.join(folder, 'part'));
    await writeFile(path.join(folder, 'AGENTS.md'), 'Instructions of the root: grün 🌲.\n');
    await writeFile(path.join(folder, 'part', 'AGENTS.md'), 'Instructions of the part.\n');
    const { requests, calls } = await converse(release, [], path.join(folder, 'part'));

    const input = requests[0]?.input.map((item) => JSON.stringify(item)).join('\n') ?? '';
    const [root, part] = [
      input.indexOf('Instructions of the root: grün 🌲.'),
      input.indexOf('Instructions of the part.'),
    ];
    expect(root).toBeGreaterThan(0);
    expect(part).toBeGreaterThan(root);
    expect(pathsOf(calls, 'fs/readFile')).toEqual(['AGENTS.md', 'part/AGENTS.md']);
  });
});

/** Neither release offers apply_patch to this model as a tool of its own: it sees the command in the shell and carries it out itself. */
function applyPatch(...lines: readonly string[]): ToolCall {
  const patch = ['*** Begin Patch', ...lines, '*** End Patch'].join('\n');
  return {
    tool: 'exec_command',
    arguments: { cmd: `apply_patch <<'EOF'\n${patch}\nEOF\n`, yield_time_ms: WAIT_MS },
  };
}

/** One run of the CLI in which the model makes these calls, one after the other. */
async function converse(
  release: string,
  toolCalls: readonly ToolCall[],
  workFolder: string = folder,
): Promise<Conversation> {
  await using executor = await startExecutor(release);
  await using proxy = await startRecordingProxy(executor.url);
  await using model = await startScriptedModel(async function* (): AsyncGenerator<
    ToolCall,
    { readonly text: string },
    ModelRequest
  > {
    for (const call of toolCalls) yield call;
    return { text: 'The script is done.' };
  });
  await using recorder = await startModelRecorder(model.url);
  const cli = await runCodexCli({ release, executorUrl: proxy.url, modelUrl: recorder.url, workFolder });
  expect(model.problems, cli.stderr).toEqual([]);
  expect(cli.exitCode, cli.stderr).toBe(0);
  expect(cli.stdout).toContain('The script is done.');
  const calls = proxy.messages.filter(({ from }) => from === 'client').map(({ message }) => message);
  // Without a sandbox a release sends null, or says that there is none: any other one would be refused.
  for (const { params } of calls) {
    const { permissions } = permissionsOf.parse(params?.['sandbox'] ?? {});
    expect(permissions.type).toBe('disabled');
  }
  return { outputs: model.toolOutputs, requests: recorder.requests, calls };
}

/** Passes requests on to a model and keeps them whole. */
async function startModelRecorder(
  modelUrl: string,
): Promise<AsyncDisposable & { readonly url: string; readonly requests: readonly RawRequest[] }> {
  const requests: RawRequest[] = [];
  const pass = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = '';
    for await (const part of incoming.setEncoding('utf8')) body += part;
    const post = incoming.method === 'POST';
    if (post) requests.push(modelRequest.parse(JSON.parse(body)));
    const url = new URL(incoming.url ?? '/', modelUrl);
    const answer = await fetch(url, { method: incoming.method ?? 'GET', ...(post ? { body } : {}) });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
    response.end(await answer.text());
  };
  const server = createServer((incoming, response) => {
    pass(incoming, response).catch(() => void response.writeHead(400).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${portOf(server)}/v1`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The paths of all calls of a method that lie in the folder, relative to it. */
function pathsOf(calls: readonly WireMessage[], method: string): string[] {
  return calls
    .filter((call) => call.method === method)
    .map(({ params }) => String(params?.['path']))
    .map((named) => (named.startsWith('file:') ? decodeURIComponent(new URL(named).pathname) : named))
    .filter((named) => named.startsWith(`${folder}/`))
    .map((named) => path.relative(folder, named));
}

function imagesOf(requests: readonly RawRequest[]): string[] {
  const outputs = requests.at(-1)?.input.flatMap(({ output }) => (Array.isArray(output) ? output : [])) ?? [];
  return outputs.flatMap((part) => part.image_url ?? []);
}

/** A PNG of one colour. */
function png(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  const row = Buffer.from([0, ...Array.from({ length: width }, () => [200, 30, 90]).flat()]);
  const rows = Buffer.concat(Array.from({ length: height }, () => row));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    ...[
      ['IHDR', header],
      ['IDAT', deflateSync(rows)],
      ['IEND', Buffer.alloc(0)],
    ].map(([type, data]) => pngChunk(String(type), Buffer.from(data ?? ''))),
  ]);
}

function pngChunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type), data]);
  const chunk = Buffer.alloc(named.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  chunk.set(named, 4);
  chunk.writeUInt32BE(crc32(named), named.length + 4);
  return chunk;
}
