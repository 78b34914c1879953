import type { ExecClient, RemoteProcess } from '../../src/client/exec-client.ts';
import { connectLocal } from '../../src/environments/local.ts';
import { type CliOptions, GrowingText, beforeDeadline, cliVariables, main } from './cli-program.ts';

export interface TerminalSize {
  readonly rows: number;
  readonly cols: number;
}

/** A program on a terminal, and whoever sits at it. */
export interface Terminal {
  /** Everything that the terminal has shown, or the part after what an earlier call has returned. */
  shows(pattern: RegExp | string): Promise<string>;
  text(): string;
  type(text: string): Promise<void>;
  resize(size: TerminalSize): Promise<void>;
  /** Its exit status, when everything it has shown is here. */
  ended(): Promise<number>;
}

/** Terminals for programs: PTYs of an executor in this process. */
export interface Terminals extends AsyncDisposable {
  open(argv: readonly string[], options?: CliOptions & { readonly size?: TerminalSize }): Promise<Terminal>;
  /** The command line on a terminal. */
  cli(args: readonly string[], options?: CliOptions & { readonly size?: TerminalSize }): Promise<Terminal>;
}

export async function openTerminals(): Promise<Terminals> {
  const local = await connectLocal({ env: cliVariables({}) }, { clientName: 'cli-terminals' });
  const open: Terminals['open'] = async (argv, options = {}) => start(local.client, argv, options);
  return {
    open,
    cli: async (args, options) => open([process.execPath, main, ...args], options),
    [Symbol.asyncDispose]: async () => local[Symbol.asyncDispose](),
  };
}

/** The command line in a script for `sh`, whose own terminal it then is. */
export function quoted(args: readonly string[]): string {
  return [process.execPath, main, ...args]
    .map((arg) => `'${arg.replaceAll("'", String.raw`'\''`)}'`)
    .join(' ');
}

async function start(
  client: ExecClient,
  argv: readonly string[],
  { size = { rows: 24, cols: 80 }, cwd = '/', ...options }: CliOptions & { readonly size?: TerminalSize },
): Promise<Terminal> {
  const child = await client.start({
    argv: [...argv],
    cwd,
    env: { TERM: 'dumb', ...cliVariables(options) },
    tty: true,
    size,
  });
  const shown = new GrowingText();
  const reading = read(child, shown);
  return {
    shows: async (pattern) => shown.shows(pattern),
    text: () => shown.bytes().toString(),
    type: async (text) => void (await child.write(text)),
    resize: async (to) => child.resize(to),
    ended: async () => {
      const [exit] = await beforeDeadline('the end on the terminal', Promise.all([child.exited, reading]));
      return exit.exitCode;
    },
  };
}

async function read(child: RemoteProcess, shown: GrowingText): Promise<void> {
  try {
    for await (const bytes of child.pty) shown.add(bytes);
  } finally {
    shown.end();
  }
}
