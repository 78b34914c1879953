import { spawn } from 'node:child_process';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokenRow } from '../process-run.ts';
import { milliseconds, percentile, type Sample } from '../stats.ts';
import { WireClient } from '../wire-client.ts';
import { NotApplicable, type Row, type Subject } from './row.ts';

/** Between two keys, of somebody who types much faster than anybody does. */
const KEY_MS = 8;
const ECHOES_ALONE = 200;

const COPY_CLIENT = path.join(import.meta.dirname, '..', 'copy-client.ts');

/** Of one row, by the way that the bytes are copied. */
function echoes(name: string, way: 'blocks' | 'streams', title: string): Row {
  return {
    name,
    title,
    servedByNull: false,
    run: async ({ url, target, fixtures }: Subject): Promise<readonly Sample[]> => {
      if (way === 'streams' && target.name !== 'ours') throw new NotApplicable('only ours has streams');
      using client = await WireClient.open(url);
      const { id, run, started } = client.start({ argv: ['/bin/cat'], cwd: target.cwd, pipeStdin: true });
      await started;
      let count = 0;
      const echo = async (): Promise<number> => {
        const shown = Promise.withResolvers<Buffer>();
        run.onOutput = shown.resolve;
        const before = performance.now();
        const key = String.fromCodePoint(97 + (count++ % 26));
        const params = { processId: id, chunk: Buffer.from(key).toString('base64'), writeId: `${count}` };
        const accepted = client.call('process/write', params);
        // The run ends early only when something broke; its reason is then the row's.
        const seen = (await Promise.race([shown.promise, run.closed]))?.toString();
        const time = performance.now() - before;
        if (seen !== key) throw new BrokenRow(`${JSON.stringify(seen)} was echoed for ${key}`);
        await accepted;
        await sleep(KEY_MS);
        return time;
      };
      const alone: number[] = [];
      while (alone.length < ECHOES_ALONE) alone.push(await echo());
      const during: number[] = [];
      const before = performance.now();
      await using copies = startCopies(way, url, fixtures.bulk);
      while (copies.running) during.push(await echo());
      await copies.ended;
      const seconds = performance.now() - before;
      await client.call('process/terminate', { processId: id });
      return [
        milliseconds('99 % without copies', percentile(alone, 0.99)),
        milliseconds('median', percentile(during, 0.5)),
        milliseconds('99 %', percentile(during, 0.99)),
        milliseconds('the copies', seconds),
      ];
    },
  };
}

interface Copies extends AsyncDisposable {
  readonly running: boolean;
  readonly ended: Promise<void>;
}

function startCopies(
  way: string,
  url: string,
  { source, folder, bytes }: Subject['fixtures']['bulk'],
): Copies {
  const child = spawn(process.execPath, [COPY_CLIENT, way, url, source, folder, `${bytes}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const complaint = text(child.stderr);
  let running = true;
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const ended = closed.then(async (code) => {
    running = false;
    if (code !== 0) throw new BrokenRow(`the copies ended with ${code}: ${await complaint}`);
  });
  ended.catch(() => undefined);
  return {
    get running() {
      return running;
    },
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

export const bulk = echoes(
  'bulk',
  'blocks',
  'Echo while 1 GiB is read and 1 GiB written (fs/readBlock, fs/writeBlock; another connection)',
);

export const streams = echoes(
  'streams',
  'streams',
  'Echo while 1 GiB goes up and 1 GiB comes down (streams; another connection)',
);
