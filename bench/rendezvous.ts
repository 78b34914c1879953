/**
 * What a rendezvous costs: `node bench/rendezvous.ts [overhead] [fleet]`. Overhead: one executor over a direct WebSocket and one that has
 * dialled out, rounds interleaved. Fleet: 5,000 registered executors on one node, and 200 busy streams among them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { WebSocket } from 'ws';
import { ExecClient } from '../src/client/exec-client.ts';
import { decodeFrame, encodeFrame } from '../src/relay/frame.ts';
import { TestRendezvous } from '../test/support/rendezvous-process.ts';
import { describeMachine } from './machine.ts';
import { median, percentile } from './stats.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const ROUNDS = 5;
const CALLS = 300;
const OUTPUT_BYTES = 64 * 1024 ** 2;
const EXECUTORS = 5000;
const STREAMS = 200;
const BUSY_MS = 20_000;
const PAYLOAD_BYTES = 1024;

async function overhead(): Promise<void> {
  await using rendezvous = await TestRendezvous.start();
  await using direct = await Executor.start(['--listen', 'ws://127.0.0.1:0']);
  const environmentId = randomUUID();
  const remote = ['--remote', rendezvous.url, '--environment-id', environmentId];
  await using _dialled = await Executor.start([
    ...remote,
    '--remote-token-file',
    rendezvous.executorTokenFile,
  ]);
  await using near = await ExecClient.connect({ url: direct.line });
  await using far = await ExecClient.connect({
    rendezvous: rendezvous.url,
    environmentId,
    token: rendezvous.token,
  });
  const results = { direct: new Map<string, number[]>(), rendezvous: new Map<string, number[]>() };
  const relayed: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [name, client] of [
      ['direct', near],
      ['rendezvous', far],
    ] as const) {
      const answered = await calls(client);
      const before = await processorMs(rendezvous.pid);
      const measured = { ...answered, ...(await output(client)) };
      if (client === far) relayed.push((await processorMs(rendezvous.pid)) - before);
      if (round === 0) continue;
      for (const [metric, value] of Object.entries(measured)) {
        results[name].set(metric, [...(results[name].get(metric) ?? []), value]);
      }
    }
  }
  console.log(`\nOverhead, medians of ${ROUNDS} rounds`);
  for (const [metric, values] of results.direct) {
    const [without, within] = [median(values), median(results.rendezvous.get(metric) ?? [])];
    console.log(
      `${metric}: direct ${without.toFixed(2)}, rendezvous ${within.toFixed(2)}, ratio ${(within / without).toFixed(2)}`,
    );
  }
  console.log(`processor of the rendezvous for 64 MiB of output: ${median(relayed)} ms`);
}

async function calls(client: ExecClient): Promise<Record<string, number>> {
  const times: number[] = [];
  for (let call = 0; call < CALLS; call += 1) {
    const before = performance.now();
    await client.call('environment/status', {});
    times.push(performance.now() - before);
  }
  const before = performance.now();
  await Promise.all(Array.from({ length: 2000 }, async () => client.call('environment/status', {})));
  return {
    'round trip, median ms': median(times),
    'round trip, 99 % ms': percentile(times, 0.99),
    '2,000 calls at once, ms': performance.now() - before,
  };
}

async function output(client: ExecClient): Promise<Record<string, number>> {
  const before = performance.now();
  const child = await client.start({ argv: ['head', '-c', String(OUTPUT_BYTES), '/dev/zero'], cwd: '/tmp' });
  let bytes = 0;
  for await (const chunk of child.output()) bytes += chunk.bytes.length;
  if (bytes !== OUTPUT_BYTES) throw new Error(`${bytes} of ${OUTPUT_BYTES} bytes have come.`);
  return { '64 MiB of output, ms': performance.now() - before };
}

async function fleet(): Promise<void> {
  const limits = ['principalBurst=1000000', 'principalOrchestrators=100000'];
  await using rendezvous = await TestRendezvous.start({
    args: limits.flatMap((limit) => ['--limit', limit]),
  });
  const { pid } = rendezvous;
  const empty = await memory(pid);
  const token = (await readFile(rendezvous.executorTokenFile, 'utf8')).trim();
  await using executors = new Executor(
    spawn(
      process.execPath,
      [path.join(ROOT, 'bench', 'rendezvous-fleet.ts'), rendezvous.url, token, String(EXECUTORS)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    ),
  );
  const registeredMs = Number(await executors.firstLine());
  const idle = await memory(pid);
  const busy = await streams(rendezvous, pid);
  const kib = (bytes: number): string => (bytes / 1024).toFixed(1);
  const mib = (bytes: number): string => (bytes / 1024 ** 2).toFixed(0);
  console.log(`
Fleet
${EXECUTORS} executors registered and connected in ${(registeredMs / 1000).toFixed(1)} s
memory of the rendezvous: ${mib(empty)} MiB empty, ${mib(idle)} MiB with them, ${kib((idle - empty) / EXECUTORS)} KiB an executor, ${mib(busy.memory)} MiB while busy
${STREAMS} streams, ${PAYLOAD_BYTES} bytes there and back in turn for ${BUSY_MS / 1000} s: ${busy.messages} round trips, ${Math.round((busy.messages * 1000) / BUSY_MS)} a second
round trip: median ${median(busy.times).toFixed(2)} ms, 99 % ${percentile(busy.times, 0.99).toFixed(2)} ms; processor of the rendezvous ${busy.processorMs} ms, ${((busy.processorMs * 1000) / busy.messages).toFixed(0)} µs a round trip`);
}

/** Every stream has one message on its way. */
async function streams(
  rendezvous: TestRendezvous,
  pid: number,
): Promise<{ messages: number; times: number[]; memory: number; processorMs: number }> {
  const sockets = await Promise.all(
    Array.from({ length: STREAMS }, async (_, index) => orchestrator(rendezvous, `fleet-${index * 25}`)),
  );
  const times: number[] = [];
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x');
  const [startedAt, before] = [performance.now(), await processorMs(pid)];
  const isOver = (): boolean => performance.now() - startedAt > BUSY_MS;
  const all = sockets.map(async (webSocket) => {
    const streamId = randomUUID();
    const send = (body: Parameters<typeof encodeFrame>[0]['body']): void =>
      webSocket.send(encodeFrame({ streamId, reliable: false, ack: 0, ackBits: 0, body }));
    send({ kind: 'resume', nextSeq: 0, firstSeq: 0, reliability: 0 });
    for (let seq = 0; !isOver(); seq += 1) {
      const sentAt = performance.now();
      send({ kind: 'data', seq, segmentIndex: 0, segmentCount: 1, payload });
      const [bytes] = (await once(webSocket, 'message')) as [Buffer];
      const frame = decodeFrame(bytes);
      if (
        typeof frame === 'string' ||
        frame.streamId !== streamId ||
        frame.body.kind !== 'data' ||
        frame.body.seq !== seq
      )
        throw new Error('Another frame came than the one that was sent.');
      times.push(performance.now() - sentAt);
    }
  });
  await Promise.all(all);
  const used = (await processorMs(pid)) - before;
  const bytes = await memory(pid);
  for (const webSocket of sockets) webSocket.terminate();
  return { messages: times.length, times, memory: bytes, processorMs: used };
}

async function orchestrator(rendezvous: TestRendezvous, id: string): Promise<WebSocket> {
  const answer = await fetch(`${rendezvous.url}/cloud/environment/${id}/connect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${rendezvous.token}` },
  });
  const { url } = (await answer.json()) as { url: string };
  const webSocket = new WebSocket(url, { perMessageDeflate: false });
  await once(webSocket, 'open');
  return webSocket;
}

/** Bytes that a process has in memory. */
async function memory(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Milliseconds of processor time that it has used: in hundredths of a second, as Linux counts them. */
async function processorMs(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

class Executor implements AsyncDisposable {
  readonly #child: ChildProcess;
  line = '';

  constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(args: readonly string[]): Promise<Executor> {
    const main = path.join(ROOT, 'src', 'main.ts');
    const child = spawn(process.execPath, [main, 'serve', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    const executor = new Executor(child);
    executor.line = await executor.firstLine();
    return executor;
  }

  async firstLine(): Promise<string> {
    const ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`It ended with ${code}.`);
    });
    const line = once(this.#child.stdout ?? this.#child, 'data').then(([bytes]) => String(bytes).trim());
    return Promise.race([line, ended]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }
}

const wanted = process.argv.slice(2);
for (const [name, value] of Object.entries(describeMachine())) console.log(`${name}: ${value}`);
if (wanted.length === 0 || wanted.includes('overhead')) await overhead();
if (wanted.length === 0 || wanted.includes('fleet')) await fleet();
