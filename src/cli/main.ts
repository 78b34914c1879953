import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { accessModes } from '../access/settings.ts';
import { tuneCollector } from '../support/collector.ts';
import { version } from '../version.ts';
import { addEnvironments, addFile, addSync, inEnvironment } from './environment-commands.ts';
import type * as Files from './files.ts';
import { append, seconds } from './flag-values.ts';
import { remoteFlags } from './remote-flags.ts';
import type { RendezvousFlags } from './rendezvous.ts';

/** Exit statuses of our own failures. A program that `run` has run gives its own. */
const failed = 1;
const usageError = 2;

const examples = `
Examples:
  exec-server                                      serve on a free port of 127.0.0.1 and print its URL
  exec-server serve --listen ws://127.0.0.1:8765
  exec-server serve --listen stdio                 one client on standard input and output
  exec-server serve --remote https://rendezvous.example.org --environment-id build-7 --remote-token-file token
  exec-server run -- uname -a                      start a local executor for one program
  exec-server run --url ws://127.0.0.1:8765 -- sh -c 'cat; exit 3' < file
  exec-server run --command 'ssh host exec-server serve --listen stdio' -- hostname
  exec-server shell --url ws://127.0.0.1:8765      an interactive shell there
  exec-server cp -r --url ws://127.0.0.1:8765 ./project env:/work/project
  exec-server cat --url ws://127.0.0.1:8765 /etc/os-release
  exec-server sync --gitignore --env box ./project env:/work/project
  exec-server env add box image=debian:13          an environment by id, in environments.toml
  exec-server env test box                         what works there
  exec-server doctor                               what sandboxes are enforced by here
  exec-server curl --url ws://127.0.0.1:8765 http://localhost:3000/health
  exec-server schema > protocol.json               JSON Schemas of the protocol
`;

/** Runs the command line. Answers the exit status. What a command needs is loaded when it runs. */
export async function main(args: readonly string[]): Promise<number> {
  if (process.platform === 'win32') {
    process.stderr.write('Error: exec-server runs on Linux and macOS; on Windows use it inside WSL.\n');
    return failed;
  }
  // Whoever read has gone: what waits for its output hears of it there, and there is nobody to tell here.
  process.stdout.on('error', () => {});
  let status = 0;
  const program = new Command('exec-server')
    .description('Lets an orchestrator run processes in this environment.')
    .version(version)
    .addHelpText('after', examples)
    .exitOverride()
    .enablePositionalOptions();

  remoteOptions(sandboxOptions(program.command('serve', { isDefault: true })))
    .description('serve clients (the default command)')
    .option(
      '--listen <address>',
      'ws://IP:PORT, port 0 for a free one, or stdio (default: ws://127.0.0.1:0)',
      once('--listen'),
    )
    .option('--log-level <level>', 'debug, info, warn, error or silent, on standard error (default: warn)')
    .option(
      '--journal-dir <folder>',
      'where output that exceeds the memory goes (default: the temporary directory)',
    )
    .option('--journal-disk-bytes <n>', 'disk for the output of one process (default: 256 MiB)')
    .option('--journal-disk-total-bytes <n>', 'disk for the output of all processes (default: 1 GiB)')
    .option('--limit <name=n>', 'change a limit, such as connections=100; may be repeated', append)
    .addOption(new Option('--ws-auth <mode>', 'ask clients for a bearer token').choices(accessModes))
    .option('--ws-token-file <path>', 'capability-token: the file with the token')
    .option('--ws-token-sha256 <hex>', 'capability-token: the SHA-256 of the token, in place of the file')
    .option('--ws-shared-secret-file <path>', 'signed-bearer-token: the file with the key of HS256')
    .option('--ws-issuer <text>', 'signed-bearer-token: the issuer that tokens must name')
    .option('--ws-audience <text>', 'signed-bearer-token: the audience that tokens must name')
    .option('--ws-max-clock-skew-seconds <n>', 'signed-bearer-token: how far clocks may differ (default: 30)')
    .option('--unauthenticated', 'listen where other machines reach it, and ask nobody who they are')
    .option(
      '--detached-session-seconds <n>',
      'how long a session waits for its client to come back (default: 80)',
    )
    .option(
      '--http-allow <rules>',
      'where HTTP requests may go: names, addresses, networks, groups, with ports; commas between (default: any)',
    )
    .option('--http-deny <rules>', 'where they may not go; stronger than --http-allow')
    .option('--http-allow-metadata', 'let them reach link-local addresses and metadata services')
    .action(async (flags: Record<string, unknown>) => {
      // Before the rest of the executor is loaded, which would make the memory grow for good.
      tuneCollector();
      const [{ serve }, { ownVariables, serveConfig }] = await Promise.all([
        import('./serve.ts'),
        import('../config.ts'),
      ]);
      status = await serve(serveConfig(flags, ownVariables()));
    });

  addFile(withTarget(program.command('run')))
    .description('run a program with the standard streams of this command, and exit with its status')
    .argument('<argv...>', 'program and arguments, after --')
    .option(
      '--env <name=value>',
      'a variable for the program; without "=" the id of an environment; may be repeated',
      append,
    )
    .option('--timeout <seconds>', 'end the program after this time', seconds)
    .passThroughOptions()
    .action(async (argv: string[], flags: object) => {
      const { run } = await import('./run.ts');
      status = await run(argv, flags);
    });

  inEnvironment(withTarget(program.command('shell')))
    .description('run an interactive program on a terminal of the executor')
    .argument('[argv...]', 'program and arguments (default: the shell of its user)')
    .passThroughOptions()
    .action(async (argv: string[], flags: object) => {
      const { shell } = await import('./shell.ts');
      status = await shell(argv, flags);
    });

  addFileCommands(program, (code) => (status = code));
  addSync(
    program,
    (command) => inEnvironment(reaching(command)),
    (code) => (status = code),
  );
  addEnvironments(program, (code) => (status = code));

  sandboxOptions(program.command('doctor'))
    .description('say what sandboxes are enforced by on this host, and what is missing (status 1)')
    .option('--json', 'as JSON')
    .action(async ({ json, ...flags }: Record<string, unknown>) => {
      const [{ doctor }, { ownVariables, serveConfig }] = await Promise.all([
        import('./doctor.ts'),
        import('../config.ts'),
      ]);
      status = await doctor(serveConfig(flags, ownVariables()), { json: json === true });
    });
  inEnvironment(reaching(program.command('curl <address>')))
    .description('make an HTTP request from inside the environment and write the body of its answer')
    .option('-X, --request <method>', 'GET if absent, POST with --data')
    .option('-H, --header <line>', 'a header, "name: value"; may be repeated', append)
    .option('-d, --data <text>', 'the body; @file sends a file of this machine, @- standard input')
    .option('-i, --include', 'write status and header before the body')
    .option('-L, --location', 'follow redirects')
    .option('-f, --fail', 'a status of 400 or more ends with exit status 22')
    .option('-o, --output <file>', 'write to a file of this machine')
    .option('-m, --max-time <seconds>', 'give up after this time', seconds)
    .option('--unix-socket <path>', 'connect to this socket of the environment')
    .action(async (address: string, flags: object) => {
      const { curl } = await import('./curl.ts');
      status = await curl(address, flags);
    });

  addRendezvous(program, (code) => (status = code));

  program
    .command('schema')
    .description('print the JSON Schemas of the protocol')
    .action(async () => {
      const { protocolSchema } = await import('./schema.ts');
      process.stdout.write(`${JSON.stringify(protocolSchema(), null, 2)}\n`);
    });

  try {
    await program.parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    // It has already said what is wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageError;
    process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`);
    return failed;
  }
}

/** Commands on files of the environment that --url or --command reach. */
function addFileCommands(program: Command, setStatus: (status: number) => void): void {
  const run = async (work: (files: typeof Files) => Promise<number>): Promise<void> =>
    setStatus(await work(await import('./files.ts')));
  const recursive = ['-r, --recursive', 'directories with everything in them'] as const;

  inEnvironment(reaching(program.command('cp <source> <destination>')))
    .description(
      'copy a file or directory; env:/path is a path of the environment, the other one of this machine',
    )
    .option(...recursive)
    .action((from: string, to: string, flags: object) => run((files) => files.cp(from, to, flags)));

  inEnvironment(reaching(program.command('ls <path>')))
    .description('list a directory of the environment')
    .option('-l, --long', 'with mode, size and time')
    .action((path: string, flags: object) => run((files) => files.ls(path, flags)));

  inEnvironment(reaching(program.command('cat <paths...>')))
    .description('write files of the environment to standard output')
    .action((paths: string[], flags: object) => run((files) => files.cat(paths, flags)));

  inEnvironment(reaching(program.command('rm <paths...>')))
    .description('remove files of the environment')
    .option(...recursive)
    .option('-f, --force', 'a missing path is no error')
    .action((paths: string[], flags: object) => run((files) => files.rm(paths, flags)));

  inEnvironment(reaching(program.command('stat <path>')))
    .description('describe what is at a path of the environment')
    .action((path: string, flags: object) => run((files) => files.statPath(path, flags)));
}

/** Where an executor registers in place of listening. */
function remoteOptions(command: Command): Command {
  for (const [flags, description] of remoteFlags) command.option(flags, description);
  return command;
}

/** The service for executors that dial out. */
function addRendezvous(program: Command, setStatus: (status: number) => void): void {
  const command = program
    .command('rendezvous')
    .description('let executors dial out and orchestrators reach them by environment id')
    .option('--listen <address>', 'http://IP:PORT, port 0 for a free one (default: http://127.0.0.1:0)')
    .option('--public-url <url>', 'how peers reach it, where that is another address (a proxy with TLS)')
    .option('--data <file>', 'keep registrations in this SQLite file (default: in memory)')
    .option('--tokens <file>', 'who may register and connect, JSON or TOML; read again at SIGHUP')
    .option('--jwt-secret-file <path>', 'take tokens that are signed with this key (HS256)')
    .option('--jwks-file <path>', 'take tokens that are signed with one of these keys')
    .option('--jwt-issuer <text>', 'the issuer that signed tokens must name')
    .option('--jwt-audience <text>', 'the audience that signed tokens must name')
    .option('--unauthenticated', 'ask nobody who they are; on loopback only')
    .option('--limit <name=n>', 'change a limit; may be repeated', append)
    .addOption(
      new Option('--log-level <level>', 'on standard error (default: warn)').choices([
        'debug',
        'info',
        'warn',
        'error',
        'silent',
      ]),
    )
    .action(async (flags: RendezvousFlags) =>
      setStatus(await (await import('./rendezvous.ts')).rendezvous(flags)),
    );
  command
    .command('token')
    .description('make a token, and its digest for --tokens')
    .action(async () => setStatus((await import('./rendezvous.ts')).token()));
}

/** What decides how sandboxes are enforced. */
function sandboxOptions(command: Command): Command {
  return command
    .option(
      '--state-dir <folder>',
      'what sandboxes need on disk (default: exec-server in $XDG_RUNTIME_DIR, or a folder in the temporary directory)',
    )
    .option('--bubblewrap <path>', 'its absolute path, or off (default: where distributions install it)')
    .option(
      '--allow-weaker <guarantee>',
      'give up protected-metadata in sandboxes where this host cannot enforce it',
      append,
    );
}

function reaching(command: Command): Command {
  return command
    .option('--url <url>', 'an executor that listens there (default: one in this process)')
    .option('--rendezvous <url>', 'a rendezvous where an executor waits; with --environment-id')
    .option('--environment-id <id>', 'what that executor is known by there')
    .option('--allow-http', 'plain http to a rendezvous on another machine')
    .option(
      '--reconnect <seconds>',
      'how long to try to come back when the connection is lost (default: 60)',
      secondsOrNone,
    )
    .option('--command <text>', 'a shell command that starts an executor on its standard streams')
    .option('--token-file <path>', 'a file with the bearer token for --url or --rendezvous');
}

function withTarget(command: Command): Command {
  return reaching(command).option('--cwd <path>', 'working directory there');
}

function once(name: string): (value: string, previous: string | undefined) => string {
  return (value, previous) => {
    if (previous !== undefined) throw new InvalidArgumentError(`${name} may be given once.`);
    return value;
  };
}

function secondsOrNone(value: string): number {
  return value === '0' ? 0 : seconds(value);
}
