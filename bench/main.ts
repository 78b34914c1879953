import { writeFile } from 'node:fs/promises';
import { createFixtures } from './fixtures.ts';
import { describeMachine } from './machine.ts';
import { readOptions, USAGE, UsageError, type Options } from './options.ts';
import { formatFailures, formatTable } from './report.ts';
import { Results } from './results.ts';
import { NotApplicable, type Row, type Subject } from './rows/row.ts';
import { nullTarget, ownTarget, referenceTarget, type Target } from './targets.ts';
import { RpcError } from './wire-client.ts';

/** Sockets with TCP_NODELAY do not have this; that the reference goes without it is part of what it costs. */
const NAGLE_NOTE = `
The reference leaves Nagle's algorithm on: a small message right behind another waits for the first one's acknowledgement,
up to 40 ms on Linux. That is measured, not corrected.`;

/** What a shell reports for a program that SIGINT ended. */
const INTERRUPTED = 130;

const METHOD_NOT_FOUND = -32_601;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = readOptions(argv);
    if (options !== undefined) return await benchmark(options);
    process.stdout.write(USAGE);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

async function benchmark(options: Options): Promise<number> {
  const targets = [await ownTarget(options.command)];
  if (options.against !== undefined) targets.push(await referenceTarget(options.against));
  targets.push(nullTarget());
  const header = {
    ...describeMachine(),
    ...Object.fromEntries(targets.map((target) => [target.name, target.description])),
    rounds: `${options.rounds} counted, one before that is not`,
  };
  for (const [name, value] of Object.entries(header)) console.log(`${name}: ${value}`);
  const results = new Results(options.rows, targets);
  if (!(await measure(options, results))) return INTERRUPTED;
  console.log(`
Medians of the rounds (smallest..largest). Lower is better everywhere; the ratio is ours ÷ the reference. null is
the same client against an executor on Node that answers without doing anything: what Node, ws, the loopback and the
client cost by themselves. The client's CPU time includes all of its threads.${options.against === undefined ? '' : NAGLE_NOTE}
`);
  console.log(formatTable(results));
  if (results.failures.length > 0) console.log(`\n${formatFailures(results)}`);
  if (options.json !== undefined) {
    await writeFile(options.json, `${JSON.stringify({ header, results }, undefined, 2)}\n`);
  }
  return results.failures.length === 0 ? 0 : 1;
}

/**
 * Every row of every round meets all targets in turn, so that a change in the machine's load meets them all. False when a
 * signal ended it early: the executors are in groups of their own and have to be stopped from here.
 */
async function measure({ rounds, rows }: Options, results: Results): Promise<boolean> {
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  await using stack = new AsyncDisposableStack();
  const fixtures = stack.use(await createFixtures());
  const subjects: Subject[] = [];
  for (const target of results.targets) {
    const { url } = stack.use(await target.launch());
    subjects.push({ target, url, fixtures });
  }
  for (let round = 0; round <= rounds; round += 1) {
    if (process.stderr.isTTY) process.stderr.write(`round ${round} of ${rounds}\n`);
    for (const [index, row] of rows.entries()) {
      const ordered = (round + index) % 2 === 0 ? subjects : subjects.toReversed();
      for (const subject of ordered) {
        if (interrupted) return false;
        await measureOnce(row, subject, results, round > 0);
      }
    }
  }
  return !interrupted;
}

async function measureOnce(row: Row, subject: Subject, results: Results, counted: boolean): Promise<void> {
  const { target } = subject;
  if (isNull(target) && !row.servedByNull) return;
  const outcome = results.outcome(row, target);
  // One failure is enough: the row has no number to offer any more.
  if (outcome.failure !== undefined || outcome.notApplicable !== undefined) return;
  try {
    const samples = await row.run(subject);
    if (counted) results.add(row, target, samples);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof NotApplicable || isUnknownMethod(error)) outcome.notApplicable = message;
    else outcome.failure = message;
  }
}

function isNull(target: Target): boolean {
  return target.name === 'null';
}

/** Early releases lack `environment/status`. */
function isUnknownMethod(error: unknown): boolean {
  return error instanceof RpcError && error.code === METHOD_NOT_FOUND;
}
