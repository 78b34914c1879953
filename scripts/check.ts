import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** What every change passes: `npm run check`. Prints a line for each check, then all that the failed ones said. */
interface Check {
  readonly name: string;
  readonly rule: string;
  /** Answers what is wrong; empty when nothing is. */
  readonly run: () => Promise<string>;
}

interface Outcome {
  readonly name: string;
  readonly problem: string;
}

const root = join(import.meta.dirname, '..');
const path = [join(root, 'node_modules', '.bin'), process.env['PATH']].join(delimiter);

const checks: readonly Check[] = [
  { name: 'types', rule: 'tsc --noEmit', run: () => tool('tsc', '--noEmit') },
  { name: 'lint', rule: 'oxlint', run: () => tool('oxlint') },
  { name: 'format', rule: 'prettier --check .', run: () => tool('prettier', '--check', '.') },
  {
    name: 'architecture',
    rule: 'test/architecture.test.ts',
    run: () => tool('vitest', 'run', '--project', 'unit', 'test/architecture.test.ts'),
  },
  { name: 'docs', rule: 'docs/protocol.md is what `npm run docs` writes', run: docsAreCurrent },
];

const outcomes = await Promise.all(checks.map(runCheck));
const failed = outcomes.filter(({ problem }) => problem !== '');
for (const { name, problem } of failed) console.log(`\n--- ${name}\n${problem}`);
process.exitCode = failed.length === 0 ? 0 : 1;

async function runCheck(check: Check): Promise<Outcome> {
  const start = performance.now();
  // A check that cannot run has failed, and the others still run.
  const problem = await check.run().catch((error: unknown) => String(error));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${problem === '' ? 'ok    ' : 'failed'} ${check.name.padEnd(14)}${seconds.padStart(5)} s  ${check.rule}`,
  );
  return { name: check.name, problem };
}

/** Runs a tool of node_modules/.bin. Answers all it printed if it failed. */
async function tool(command: string, ...args: readonly string[]): Promise<string> {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, PATH: path, NO_COLOR: '1', FORCE_COLOR: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve(code === 0 ? '' : output.trimEnd() || `${command} ended with ${code ?? signal}.`);
    });
  });
}

async function docsAreCurrent(): Promise<string> {
  // Loaded here, so that sources that do not run fail this check only.
  const { docsFile, protocolDocs } = await import('./protocol-docs.ts');
  const written = await readFile(docsFile, 'utf8').catch(() => '');
  return written === protocolDocs() ? '' : 'docs/protocol.md is out of date: run `npm run docs`.';
}
