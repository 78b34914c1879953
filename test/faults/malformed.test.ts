import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { limits } from '../../src/protocol/limits.ts';
import { RawClient } from '../support/faults-client.ts';
import { type ListeningExecutor, startExecutor } from '../support/faults-executor.ts';
import { MalformedLink } from '../support/faults-malformed-link.ts';
import { type Malformed, Mutator } from '../support/faults-malformed.ts';
import { childrenOf, residentMiB, until, within } from '../support/faults-proc.ts';
import { Chance } from '../support/faults-random.ts';

/** EXEC_SERVER_FAULTS_SEED makes other messages. */
const SEED = Number(process.env['EXEC_SERVER_FAULTS_SEED'] ?? 20_261_120);
const MESSAGES = 10_000;
const MESSAGES_BEFORE_HANDSHAKE = 1_000;
const MEMORY_MIB = 300;
const PROMPT_MS = 10_000;
const SETTLED_MS = 30_000;
/** Processes that the messages name, and whether on a PTY. */
const targets = [
  ['target', false],
  ['terminal', true],
] as const;

const terminate = (processId: string): Malformed => ({
  kind: 'terminate',
  frame: Buffer.from(JSON.stringify({ id: processId, method: 'process/terminate', params: { processId } })),
  binary: false,
  expect: 'answer',
  id: processId,
  code: undefined,
});

/** Throws, with all that is needed to send the message again, where it did not get what it deserves. */
async function tryOut(link: MalformedLink, message: Malformed, number: number): Promise<'open' | 'closed'> {
  const fail = (problem: string, cause?: unknown): Error => {
    const { kind, frame, binary, expect: expected } = message;
    const frameText = frame.toString('latin1', 0, 600);
    return new Error(
      `${problem}\nseed ${SEED}, message ${number} (${kind}), expected: ${expected}, ` +
        `${binary ? 'binary' : 'text'} frame of ${frame.length} bytes: ${frameText}`,
      { cause },
    );
  };
  const outcome = await link.send(message).catch((error: unknown) => {
    throw fail(String(error), error);
  });
  if ('closed' in outcome) {
    if (message.expect !== 'close') throw fail(`the connection was closed with ${outcome.closed}`);
    if (!/^1002 .+/u.test(outcome.closed)) throw fail(`the close has no reason: ${outcome.closed}`);
    return 'closed';
  }
  if (message.expect === 'close') throw fail('the connection was not closed');
  const refusals = message.expect === 'refusal' ? [1] : message.expect === 'answerOrRefusal' ? [0, 1] : [0];
  if (!refusals.includes(outcome.refusals)) throw fail(`${outcome.refusals} refusals came`);
  return 'open';
}

/** A session is free for another connection when the executor has learned of the end of the one before. */
async function resume<T>(open: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      if (attempt === 100) throw error;
      await delay(20);
    }
  }
}

/** Programs for the messages to work on, in a session that the next connection takes over. */
async function startTargets(url: string): Promise<string> {
  await using client = await RawClient.connect(url);
  const common = { argv: ['/bin/cat'], pipeStdin: true };
  for (const [processId, tty] of targets) await client.start({ ...common, processId, tty });
  return client.sessionId;
}

/** Ends what the messages have started. Nothing but that may be there. */
async function expectNothingLeft(executor: ListeningExecutor, client: RawClient): Promise<void> {
  const { processes } = await client.request('process/list', {});
  for (const { processId } of processes) await client.request('process/terminate', { processId });
  await until(
    SETTLED_MS,
    () => childrenOf(executor.pid).length === 0,
    () => `left over: ${JSON.stringify(childrenOf(executor.pid))}`,
  );
  const log = await client.start({ processId: 'real work', argv: ['/bin/echo', 'still serving'] });
  await log.closed();
  expect(log.content().toString()).toBe('still serving\n');
  expect(residentMiB(executor.pid).peak, 'MiB of resident memory').toBeLessThan(MEMORY_MIB);
  expect(executor.stderr).toBe('');
}

describe(`malformed messages (seed ${SEED})`, () => {
  test(`get an answer or a reasoned close, all ${MESSAGES}, and others are served meanwhile`, async () => {
    await using executor = await startExecutor();
    await using healthy = await RawClient.connect(executor.url);
    const sessionId = await startTargets(executor.url);
    let link = await resume(() => MalformedLink.open(executor.url, sessionId));
    const mutator = new Mutator();
    const seen: Record<string, number> = {};
    for (let number = 0; number < MESSAGES; number++) {
      const message = mutator.make(number, new Chance(SEED, number));
      seen[message.expect] = (seen[message.expect] ?? 0) + 1;
      if ((await tryOut(link, message, number)) === 'closed')
        link = await resume(() => MalformedLink.open(executor.url, sessionId));
      if (number % 100 === 0) await healthy.request('environment/status', {}, PROMPT_MS);
    }
    expect(mutator.wrongParamsLeft, 'parameters with wrong values that had no turn').toBe(0);
    expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(50);

    // Reads that wait for output end with their processes.
    for (const [processId] of targets) await link.send(terminate(processId));
    await link.settled(SETTLED_MS);
    await link[Symbol.asyncDispose]();
    await using client = await resume(() => RawClient.connect(executor.url, sessionId));
    await expectNothingLeft(executor, client);
  });

  test(`before the handshake start nothing, all ${MESSAGES_BEFORE_HANDSHAKE}`, async () => {
    await using executor = await startExecutor();
    await using healthy = await RawClient.connect(executor.url);
    const mutator = new Mutator();
    for (let number = 0; number < MESSAGES_BEFORE_HANDSHAKE; number++) {
      await using link = await MalformedLink.connect(executor.url);
      const message = mutator.make(number, new Chance(SEED, MESSAGES + number));
      // The notification is as unexpected there as any other.
      const expected = message.expect === 'silence' ? 'close' : message.expect;
      await tryOut(link, { ...message, expect: expected }, MESSAGES + number);
      if (message.expect !== 'silence' && message.expect !== 'close') await link.settled(SETTLED_MS);
      if (number % 100 === 0) await healthy.request('environment/status', {}, PROMPT_MS);
    }
    expect(childrenOf(executor.pid)).toEqual([]);
    await expectNothingLeft(executor, healthy);
  });
});

describe('a frame that the WebSocket itself cannot take', () => {
  const frames = [
    { name: 'a text frame that is not UTF-8', code: 1007, data: Buffer.from([0x7b, 0xff, 0x7d]) },
    { name: 'a message beyond the limit', code: 1009, data: Buffer.alloc(limits.messageBytes + 1, 0x20) },
  ];
  test.each(frames)('$name closes the connection with $code and a reason', async ({ code, data }) => {
    await using executor = await startExecutor();
    await using healthy = await RawClient.connect(executor.url);
    const webSocket = new WebSocket(executor.url, { perMessageDeflate: false });
    webSocket.on('error', () => {});
    const closed = new Promise<{ code: number; reason: string }>((resolve) => {
      webSocket.once('close', (seen, reason) => resolve({ code: seen, reason: reason.toString() }));
    });
    webSocket.once('open', () => webSocket.send(data, { binary: false }));
    const outcome = await within(SETTLED_MS, 'the close', closed);
    await healthy.request('environment/status', {}, PROMPT_MS);
    await expectNothingLeft(executor, healthy);
    expect(outcome).toEqual({ code, reason: expect.stringMatching(/./u) as string });
  });
});
