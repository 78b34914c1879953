import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { withDeadline } from '../../support/deadline.ts';

/** The first release with all flags that are used. */
const leastMajor = 12;
/** Milliseconds that the program has to say its version. */
const versionMs = 5_000;

/**
 * Finds ripgrep once: in the directories of PATH, or where the setting says; "off" is nowhere. Resolves to undefined where there is none, or
 * another program of that name.
 */
export function ripgrepFinder(
  setting: string | undefined,
  searchPath: string | undefined,
): () => Promise<string | undefined> {
  let found: Promise<string | undefined> | undefined;
  return async () => (found ??= find(setting, searchPath));
}

async function find(setting: string | undefined, searchPath = ''): Promise<string | undefined> {
  if (setting === 'off') return undefined;
  const folders = searchPath.split(':').filter((folder) => path.isAbsolute(folder));
  const candidates = setting === undefined ? folders.map((folder) => path.join(folder, 'rg')) : [setting];
  for (const candidate of candidates) if (await isRipgrep(candidate)) return candidate;
  return undefined;
}

async function isRipgrep(program: string): Promise<boolean> {
  try {
    await access(program, constants.X_OK);
    const late = (): Error => new Error('It does not say its version.');
    const { output } = await withDeadline(versionMs, late, undefined, async (signal) =>
      run(program, ['--no-config', '--version'], '/', signal),
    );
    const major = /^ripgrep (\d+)\./.exec(output.toString())?.[1];
    return major !== undefined && Number(major) >= leastMajor;
  } catch {
    return false;
  }
}

export interface FilterOptions {
  /** To which the names are relative; as text, so it must be UTF-8. */
  readonly directory: string;
  readonly pattern: string;
}

/**
 * Which of some files, named by bytes as Latin-1, can have a line that matches: their indexes. undefined: ripgrep cannot tell, each of them
 * can. What it names is searched again, for its places, so all that counts is that it misses none.
 */
export async function filesWithMatches(
  program: string,
  names: readonly string[],
  { directory, pattern }: FilterOptions,
  signal: AbortSignal,
): Promise<number[] | undefined> {
  const texts = names.map((name) => Buffer.from(name, 'latin1').toString());
  // Arguments are texts: a name that is not UTF-8 cannot be one.
  const askable = (index: number): boolean => !(texts[index] ?? '').includes('\ufffd');
  const args = texts.flatMap((text, index) => (askable(index) ? [`./${text}`] : []));
  try {
    const { code, output } = await run(
      program,
      [...flags, `--regexp=${pattern}`, '--', ...args],
      directory,
      signal,
    );
    // 0 and 1: matches and none. Anything else: it did not read every file, or does not take the pattern.
    if (code !== 0 && code !== 1) return undefined;
    const found = new Set(output.toString().split('\0'));
    return [...names.keys()].filter((index) => !askable(index) || found.has(`./${texts[index]}`));
  } catch {
    return undefined;
  }
}

/** Bytes as they are: no configuration, no ignore files, no guess at encodings or binaries, which are decided elsewhere. */
const flags = [
  '--no-config',
  '--no-messages',
  '--no-ignore',
  '--hidden',
  '--no-mmap',
  '--text',
  '--encoding=none',
  '--color=never',
  '--case-sensitive',
  '--files-with-matches',
  '--null',
];

/** Runs the program until it ends by itself or is killed by the signal, which rejects. Its variables are none. */
async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<{ code: number | null; output: Buffer }> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(program, args, { cwd, env: {}, stdio: ['ignore', 'pipe', 'ignore'] });
    const kill = (): void => {
      child.kill('SIGKILL');
      reject(signal.reason as Error);
    };
    const settle = (): void => signal.removeEventListener('abort', kill);
    signal.addEventListener('abort', kill, { once: true });
    const parts: Buffer[] = [];
    child.stdout?.on('data', (part: Buffer) => void parts.push(part));
    child.on('error', (error) => {
      settle();
      reject(error);
    });
    child.on('close', (code) => {
      settle();
      resolve({ code, output: Buffer.concat(parts) });
    });
  });
}
