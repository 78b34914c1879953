/**
 * A program: reads one file of an executor and writes another one there, at the same time, on one connection and in a process of its own,
 * so that what it computes does not hold up whoever measures. `blocks`: as any client of the protocol can; `streams`: as ours does.
 */
import { Buffer } from 'node:buffer';
import path from 'node:path';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { ExecClient } from '../src/client/exec-client.ts';
import { keepInFlight, WireClient } from './wire-client.ts';

const BLOCK_BYTES = 64 * 1024;
/** In each direction: as much as a stream of ours has under way when it writes. */
const BLOCKS_IN_FLIGHT = 32;
const CALL_MS = 120_000;

const [way, url = '', source = '', folder = '', size = ''] = argv.slice(2);
const bytes = Number(size);
await (way === 'streams' ? copyStreams() : copyBlocks());

async function copyStreams(): Promise<void> {
  await using client = await ExecClient.connect({ url }, { callTimeoutMs: CALL_MS });
  const [up, down] = await Promise.all([
    client.files.upload(source, path.join(folder, 'up')),
    client.files.download(source, path.join(folder, 'down')),
  ]);
  if (up.bytes !== bytes || up.sha256 !== down.sha256) throw new Error('The copies differ.');
}

async function copyBlocks(): Promise<void> {
  using client = await WireClient.open(url);
  const open = (handleId: string, file: string, mode: string): Promise<unknown> =>
    client.call('fs/open', { handleId, path: pathToFileURL(file).href, mode });
  await Promise.all([open('from', source, 'read'), open('to', path.join(folder, 'up'), 'replace')]);
  const chunk = Buffer.alloc(BLOCK_BYTES).toString('base64');
  let read = 0;
  await Promise.all([
    keepInFlight(bytes / BLOCK_BYTES, BLOCKS_IN_FLIGHT, async (index) => {
      const params = { handleId: 'from', offset: index * BLOCK_BYTES, len: BLOCK_BYTES };
      const { chunk: got = '' } = await client.call('fs/readBlock', params);
      read += Buffer.from(got, 'base64').length;
    }),
    keepInFlight(bytes / BLOCK_BYTES, BLOCKS_IN_FLIGHT, (index) =>
      client.call('fs/writeBlock', { handleId: 'to', offset: index * BLOCK_BYTES, chunk }),
    ),
  ]);
  if (read !== bytes) throw new Error(`${read} of ${bytes} bytes were read.`);
}
