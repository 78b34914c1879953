import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { installCodex } from '../support/reference.ts';
import {
  type Background,
  ORCHESTRATOR_TOKEN,
  type RendezvousService,
  startReferenceAt,
  startRendezvousService,
} from './rendezvous-service.ts';

/** One release of each way to register without encryption. */
const RELEASES = [
  { release: '0.129.0', transport: 'direct_jsonrpc_v1' },
  { release: '0.131.0', transport: 'relay_v1' },
  { release: '0.139.0', transport: 'relay_v1' },
] as const;

let service: RendezvousService;

beforeAll(async () => {
  await Promise.all(RELEASES.map(({ release }) => installCodex(release)));
  service = await startRendezvousService();
});

afterAll(() => service[Symbol.asyncDispose]());

describe.each(RELEASES)(
  'the executor of Codex $release, through our rendezvous',
  ({ release, transport }) => {
    const environmentId = `codex-${release}`;
    let executor: Background;
    let folder: string;

    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'interop-rendezvous-'));
      executor = await startReferenceAt(service, release, environmentId);
    });

    afterAll(async () => {
      await executor[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    const connect = () =>
      ExecClient.connect({ rendezvous: service.url, environmentId, token: ORCHESTRATOR_TOKEN });

    test('is listed with what it speaks', async () => {
      await using _client = await connect();
      expect(await service.list()).toContainEqual(
        expect.objectContaining({ id: environmentId, transport, online: true }),
      );
    });

    test('runs a process with input, output and exit status', async () => {
      await using client = await connect();
      const process = await client.start({
        argv: ['/bin/sh', '-c', 'read line; echo "got: $line"; echo "an error" >&2; exit 3'],
        cwd: folder,
        pipeStdin: true,
      });
      await process.write('some input\n');
      const [stdout, stderr] = await Promise.all([textOf(process.stdout), textOf(process.stderr)]);
      expect([stdout, stderr]).toEqual(['got: some input\n', 'an error\n']);
      expect((await process.exited).exitCode).toBe(3);
    });

    test('loses nothing of a large output', async () => {
      await using client = await connect();
      const process = await client.start({ argv: ['/bin/sh', '-c', '/usr/bin/seq 1 100000'], cwd: folder });
      const expected = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join('');
      expect(sha256(await textOf(process.stdout))).toBe(sha256(expected));
    });

    test('reads and writes files', async () => {
      await using client = await connect();
      const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
      const content = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 7) % 251));
      await writeFile(from, content);
      const { dataBase64 } = await client.call('fs/readFile', { path: from });
      expect(content.equals(dataBase64)).toBe(true);
      await client.call('fs/writeFile', { path: to, dataBase64: content.toString('base64') });
      expect((await readFile(to)).equals(content)).toBe(true);
    });

    test('serves one client after the other', async () => {
      for (const number of [1, 2, 3]) {
        await using client = await connect();
        const process = await client.start({ argv: ['/bin/sh', '-c', `echo ${number}`], cwd: folder });
        expect(await textOf(process.stdout)).toBe(`${number}\n`);
      }
    });
  },
);

async function textOf(stream: { text(): AsyncIterable<string> }): Promise<string> {
  let text = '';
  for await (const part of stream.text()) text += part;
  return text;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
