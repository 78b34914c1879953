import { randomUUID } from 'node:crypto';
import type { OutputView } from '../client/exec-client.ts';
import type { Environment } from '../environments/environment.ts';
import { toError } from '../support/to-error.ts';
import { openEnvironments } from './environment-target.ts';
import { table } from './env.ts';

export interface EnvTestFlags {
  readonly file?: string;
  readonly json?: boolean;
  /** A URL that is requested from inside the environment. */
  readonly http?: string;
  /** Seconds for each of the tests. */
  readonly timeout?: number;
}

/** `skipped`: it was not tried, which is no fault of the environment. */
interface Check {
  readonly name: string;
  readonly result: 'yes' | 'no' | 'skipped';
  readonly text: string;
}

/** Milliseconds by which clocks may differ before it is called a fault: tokens with a time are refused beyond it. */
const skewMs = 30_000;
const defaultSeconds = 30;

/** Says what works in an environment. Answers 0 when everything does that was tried, else 1. */
export async function testEnvironment(id: string, flags: EnvTestFlags): Promise<number> {
  await using manager = await openEnvironments(flags.file);
  const environment = manager.get(id);
  const checks = await checkAll(environment, flags);
  const works = checks.every(({ result }) => result !== 'no');
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ id, kind: environment.kind, works, checks }, null, 2)}\n`
      : table(checks.map(({ name, result, text }) => [name, result, text])),
  );
  return works ? 0 : 1;
}

async function checkAll(
  environment: Environment,
  { http, timeout = defaultSeconds }: EnvTestFlags,
): Promise<Check[]> {
  const transport = await transportCheck(environment);
  if (transport.result === 'no') return [transport];
  const limitMs = timeout * 1000;
  const run = async (name: string, work: () => Promise<Omit<Check, 'name'>>): Promise<Check> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`No end of it after ${timeout} s.`)), limitMs);
    });
    try {
      return { name, ...(await Promise.race([work(), late])) };
    } catch (error) {
      return { name, result: 'no', text: toError(error).message };
    } finally {
      clearTimeout(timer);
    }
  };
  return [
    transport,
    await run('process', async () => processCheck(environment)),
    await run('PTY', async () => terminalCheck(environment)),
    await run('sandbox', async () => sandboxCheck(environment)),
    await run('network', async () => networkCheck(environment, http, limitMs)),
    await run('clock', async () => clockCheck(environment)),
  ];
}

/** The second question is the one that is measured: the first one opens the session. */
async function transportCheck(environment: Environment): Promise<Check> {
  const name = 'transport';
  const { status, error, roundTripMs = 0 } = await environment.health({ probe: true });
  if (status !== 'ready') return { name, result: 'no', text: error?.message ?? `It is ${status}.` };
  const again = (await environment.health({ probe: true })).roundTripMs ?? roundTripMs;
  const label = environment.label === '' ? environment.kind : environment.label;
  return { name, result: 'yes', text: `${label}, round trip ${again.toFixed(1)} ms` };
}

async function textOf(output: OutputView): Promise<string> {
  let text = '';
  for await (const part of output.text()) text += part;
  return text;
}

async function shellOf(environment: Environment): Promise<string> {
  return (await environment.info())?.shell.path ?? '/bin/sh';
}

async function processCheck(environment: Environment): Promise<Omit<Check, 'name'>> {
  const started = performance.now();
  const token = randomUUID();
  const child = await environment.processes.start({ argv: ['/bin/sh', '-c', `echo ${token}`] });
  const text = await textOf(child.stdout);
  const { exitCode } = await child.exited;
  if (exitCode !== 0 || text.trim() !== token)
    return { result: 'no', text: `A shell exited with ${exitCode} and did not say what it was to say.` };
  const took = (performance.now() - started).toFixed(0);
  return { result: 'yes', text: `a shell ran in ${took} ms; the user's is ${await shellOf(environment)}` };
}

async function terminalCheck(environment: Environment): Promise<Omit<Check, 'name'>> {
  const child = await environment.processes.start({
    argv: ['/bin/sh', '-c', 'test -t 0 && test -t 1 && stty size'],
    tty: true,
    size: { rows: 31, cols: 97 },
  });
  const text = (await textOf(child.pty)).trim();
  const { exitCode } = await child.exited;
  if (text.includes('31 97')) return { result: 'yes', text: '31 rows and 97 columns arrived' };
  if (exitCode === 127)
    return { result: 'yes', text: 'there is a terminal; stty is not there to ask its size' };
  return {
    result: 'no',
    text: `a program sees no terminal of the size that was asked for (status ${exitCode})`,
  };
}

async function sandboxCheck(environment: Environment): Promise<Omit<Check, 'name'>> {
  const facts = (await environment.info())?.capabilities?.execServer?.sandbox;
  if (facts === undefined)
    return { result: 'skipped', text: 'the executor does not say what it can enforce' };
  const profiles = Object.entries(facts.profiles);
  const missing = profiles.filter(([, { enforced }]) => !enforced);
  const enforcers = [...new Set(profiles.flatMap(([, { enforcer }]) => enforcer ?? []))];
  if (missing.length === 0) return { result: 'yes', text: `all profiles, by ${enforcers.join(' and ')}` };
  const [first] = missing;
  const fix = first?.[1].fix === undefined ? '' : `; to change that: ${first[1].fix}`;
  const names = missing.map(([name]) => name).join(', ');
  return { result: 'no', text: `not enforced: ${names} (${first?.[1].problem ?? 'unknown'}${fix})` };
}

async function networkCheck(
  environment: Environment,
  url: string | undefined,
  timeoutMs: number,
): Promise<Omit<Check, 'name'>> {
  if (url === undefined)
    return { result: 'skipped', text: 'name a URL with --http to make a request from inside' };
  const started = performance.now();
  const response = await environment.http.request({ url, method: 'GET', redirectPolicy: 'stop', timeoutMs });
  response.cancel();
  const took = (performance.now() - started).toFixed(0);
  return { result: 'yes', text: `status ${response.status} in ${took} ms` };
}

/** The executor's own clock, between a question and its answer on this one. */
async function clockCheck(environment: Environment): Promise<Omit<Check, 'name'>> {
  const client = await environment.client();
  const processId = randomUUID();
  const before = Date.now();
  const child = await environment.processes.start({ processId, argv: ['/bin/sh', '-c', 'sleep 60'] });
  const after = Date.now();
  try {
    const { processes } = await client.call('process/list', undefined);
    const startedAt = processes.find((each) => each.processId === processId)?.startedAt;
    if (startedAt === undefined) return { result: 'skipped', text: 'the executor does not tell its time' };
    const [off, unsure] = [Date.parse(startedAt) - (before + after) / 2, (after - before) / 2];
    const text = `${Math.abs(Math.round(off))} ms ${off < 0 ? 'behind' : 'ahead'}, give or take ${Math.ceil(unsure)} ms`;
    return { result: Math.abs(off) - unsure > skewMs ? 'no' : 'yes', text };
  } finally {
    await child.terminate({ graceMs: 0 }).catch(() => {});
  }
}
