import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { requests } from '../../src/protocol/methods.ts';
import type { OutputStream } from '../../src/protocol/process.ts';
import { requirePrograms } from '../support/conformance-programs.ts';
import { type TestExecutor, finish, webSocketTarget } from '../support/conformance-targets.ts';
import { type Answer, WireClient } from '../support/conformance-wire.ts';

/** The folder of the recorded client, and how a recorded command printed it. */
const recordedFolder = '/home/dev/project';
const printedFolder = /\/opt\/interop-work-\w+/g;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly processId?: string; readonly seq?: number };
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

interface Line {
  readonly from: 'client' | 'server';
  readonly message: Message;
}

const target = webSocketTarget();
let executor: TestExecutor | undefined;
let folder = '';

beforeAll(async () => {
  executor = await target.start();
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'exec-replay-')));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await finish(target, executor);
});

describe.each(['codex-0.129.0', 'codex-0.169.0'])('the recorded conversation of %s', (release) => {
  test('with a command goes the same way with our executor', async () => {
    await replay(`${release}-plain`);
  });

  test('with an interpreter on a PTY goes the same way with our executor', async (context) => {
    requirePrograms(['python3'], context);
    await replay(`${release}-pty`);
  });
});

async function replay(name: string): Promise<void> {
  const lines = await readLines(name);
  const ids = processIds(lines);
  expect(ids).toHaveLength(1);
  if (executor === undefined) throw new Error('The executor was not started.');
  await using client = new WireClient(await executor.connect(), { cwd: folder, env: {} });
  const heard = new RecordedProcess();
  const answers = new Map<number, Promise<Answer>>();
  for (const { from, message } of lines) {
    if (from === 'client') {
      // What the recorded client knew when it sent this: so much has to be here, too.
      for (const id of ids) await caughtUp(client, id, heard);
      send(client, message, answers);
    } else if (message.method !== undefined) {
      heard.take(message);
    } else {
      compareAnswer(lines, message, await answers.get(message.id ?? -1));
    }
  }
  for (const id of ids) {
    const view = await client.end(client.process(id));
    for (const stream of ['stdout', 'stderr', 'pty'] as const)
      expect(view.text(stream), stream).toBe(heard.text(stream));
    expect(view.exited?.exitCode).toBe(heard.exitCode);
  }
  compareNotifications(lines, client);
  expect(client.allProblems()).toEqual([]);
}

/** The conversation, with the folder of this run where the recorded one had its own. */
async function readLines(name: string): Promise<Line[]> {
  const file = path.join(import.meta.dirname, '..', 'fixtures', 'wire', `${name}.jsonl`);
  const text = (await readFile(file, 'utf8')).replaceAll(recordedFolder, folder);
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

function processIds(lines: readonly Line[]): string[] {
  return lines
    .filter(({ message }) => message.method === 'process/start')
    .map(({ message }) => message.params?.processId ?? '');
}

function send(client: WireClient, message: Message, answers: Map<number, Promise<Answer>>): void {
  const text = JSON.stringify(message);
  if (message.id === undefined) client.send(text);
  else answers.set(message.id, client.ask(text, String(message.id)));
}

/** What the recorded client was told of its process, up to a point of the conversation. */
class RecordedProcess {
  readonly #chunks: { readonly stream: OutputStream; readonly bytes: Buffer }[] = [];
  exitCode: number | undefined;
  closed = false;

  take({ method, params }: Message): void {
    const event = params as { stream: OutputStream; chunk: string; exitCode: number };
    if (method === 'process/output')
      this.#chunks.push({ stream: event.stream, bytes: Buffer.from(event.chunk, 'base64') });
    else if (method === 'process/exited') this.exitCode = event.exitCode;
    else if (method === 'process/closed') this.closed = true;
  }

  text(stream: OutputStream): string {
    const chunks = this.#chunks.filter((chunk) => chunk.stream === stream).map(({ bytes }) => bytes);
    return Buffer.concat(chunks).toString().replaceAll(printedFolder, folder);
  }
}

async function caughtUp(client: WireClient, id: string, heard: RecordedProcess): Promise<void> {
  const view = client.process(id);
  await client.waitFor('as much output as in the recording', () => {
    const streams = ['stdout', 'stderr', 'pty'] as const;
    if (!streams.every((stream) => view.text(stream).startsWith(heard.text(stream)))) return undefined;
    if (heard.exitCode !== undefined && view.exited === undefined) return undefined;
    return heard.closed && view.closed === undefined ? undefined : true;
  });
}

function compareAnswer(lines: readonly Line[], recorded: Message, ours: Answer | undefined): void {
  const request = lines.find(({ from, message }) => from === 'client' && message.id === recorded.id)?.message;
  const shown = `${request?.method} (id ${recorded.id})`;
  if (!Object.hasOwn(requests, request?.method ?? '')) {
    expect(ours?.error?.code, shown).toBe(-32601);
    return;
  }
  expect(ours?.error?.code, shown).toBe(recorded.error?.code);
  if (recorded.error !== undefined) {
    const [system = ''] = /\(os error \d+\)$/.exec(recorded.error.message) ?? [];
    expect(ours?.error?.message, shown).toContain(system);
    return;
  }
  expect(differences(recorded.result, ours?.result, shown)).toEqual([]);
  const { closed, exitCode } = recorded.result as { closed?: boolean; exitCode?: number };
  if (closed === true) expect(ours?.result, shown).toMatchObject({ exited: true, closed, exitCode });
  const { running, status } = recorded.result as { running?: boolean; status?: string };
  if (running !== undefined || status !== undefined)
    expect(ours?.result, shown).toMatchObject(recorded.result as object);
}

/** Each kind of notification has the members that the recorded client got. */
function compareNotifications(lines: readonly Line[], client: WireClient): void {
  const ours = client.texts.map((text) => JSON.parse(text) as Message);
  for (const { from, message } of lines) {
    if (from !== 'server' || message.method === undefined) continue;
    const same = ours.filter(({ method }) => method === message.method);
    expect(same.length, message.method).toBeGreaterThan(0);
    for (const one of same) expect(differences(message, one, message.method)).toEqual([]);
  }
}

/** What is missing or of another type. Additional members are allowed, and so is a value where null was recorded. */
function differences(recorded: unknown, ours: unknown, place: string): string[] {
  if (recorded === null) return ours === undefined ? [`${place} is missing`] : [];
  if (Array.isArray(recorded)) {
    if (!Array.isArray(ours)) return [`${place} is no array`];
    return ours.flatMap((item, index) =>
      recorded.length === 0 ? [] : differences(recorded[0], item, `${place}[${index}]`),
    );
  }
  if (typeof recorded !== typeof ours || ours === null) return [`${place} is ${JSON.stringify(ours)}`];
  if (typeof recorded !== 'object') return [];
  // A capability that is absent is one that the executor does not have.
  return Object.entries(recorded)
    .filter(([name]) => name !== 'capabilities')
    .flatMap(([name, value]) =>
      differences(value, (ours as Record<string, unknown>)[name], `${place}.${name}`),
    );
}
