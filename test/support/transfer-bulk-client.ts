import { argv, stdout } from 'node:process';

import { ExecClient } from '../../src/client/exec-client.ts';

/*
 * A program: copies one local file to the environment and one from there to here at the same time, on one connection. Says when it has
 * begun, and the seconds that it took.
 */
const [url = '', source = '', up = '', down = ''] = argv.slice(2);

await using client = await ExecClient.connect({ url }, { callTimeoutMs: 120_000 });
const begin = performance.now();
stdout.write('begun\n');
const [upload, download] = await Promise.all([
  client.files.upload(source, up),
  client.files.download(source, down),
]);
if (upload.sha256 !== download.sha256) throw new Error('The digests differ.');
stdout.write(`${((performance.now() - begin) / 1000).toFixed(1)}\n`);
