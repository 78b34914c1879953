import { type Command, Option } from 'commander';
import { append, seconds } from './flag-values.ts';

/** `reaching`: adds the flags that name an executor. */
export function addSync(
  program: Command,
  reaching: (command: Command) => Command,
  setStatus: (status: number) => void,
): void {
  reaching(program.command('sync <source> <destination>'))
    .description(
      'bring a directory of this machine and one of the environment (env:/path) into step, in one direction: what has changed, and nothing that was changed on both sides',
    )
    .option(
      '--delete',
      'remove from the destination what an earlier sync has brought and the source has no more',
    )
    .option('--delete-extra', 'also what the source never had')
    .option('--ignore <rule>', 'leave out what matches, as in .gitignore files; may be repeated', append)
    .option('--gitignore', 'also by the .gitignore files of the source')
    .addOption(
      new Option('--links <policy>', 'symbolic links (default: keep)').choices([
        'keep',
        'follow',
        'skip',
        'refuse',
      ]),
    )
    .addOption(
      new Option('--on-conflict <policy>', 'what was changed on both sides (default: keep)').choices([
        'keep',
        'source',
        'fail',
      ]),
    )
    .option('-n, --dry-run', 'say what would be done')
    .option('--json', 'what was done, as JSON')
    .action(async (from: string, to: string, flags: object) =>
      setStatus(await (await import('./sync.ts')).sync(from, to, flags)),
    );
}

/** Commands on the environments of environments.toml. */
export function addEnvironments(program: Command, setStatus: (status: number) => void): void {
  const env = program
    .command('env')
    .description('environments by id: of environments.toml, or of EXEC_SERVER_URL')
    .enablePositionalOptions();

  addFile(env.command('list'))
    .description('list them, without reaching any')
    .option('--json', 'as JSON')
    .action(async (flags: object) => setStatus(await (await import('./env.ts')).listEnvironments(flags)));

  addFile(env.command('add <id> [settings...]'))
    .description('add one to the file, as key=value: url=wss://host, program=…, image=…, host=…')
    .option('--default', 'it is to be the default')
    .action(async (id: string, settings: string[], flags: object) =>
      setStatus(await (await import('./env.ts')).addEnvironment(id, settings, flags)),
    );

  addFile(env.command('test <id>'))
    .description('say what works there; status 1 where something does not')
    .option('--http <url>', 'make a request from inside to this URL')
    .option('--timeout <seconds>', 'for each of the tests (default: 30)', seconds)
    .option('--json', 'as JSON')
    .action(async (id: string, flags: object) =>
      setStatus(await (await import('./env-test.ts')).testEnvironment(id, flags)),
    );

  addFile(env.command('shell <id> [argv...]'))
    .description('the same as shell --env <id>')
    .option('--cwd <path>', 'working directory there')
    .passThroughOptions()
    .action(async (id: string, argv: string[], flags: object) =>
      setStatus(await (await import('./shell.ts')).shell(behindDashes(argv), { ...flags, env: id })),
    );

  addFile(env.command('run <id> <argv...>'))
    .description('the same as run --env <id>')
    .option('--cwd <path>', 'working directory there')
    .option('--timeout <seconds>', 'end the program after this time', seconds)
    .passThroughOptions()
    .action(async (id: string, argv: string[], flags: object) =>
      setStatus(await (await import('./run.ts')).run(behindDashes(argv), { ...flags, env: [id] })),
    );
}

/** `--env ID`, for commands that work with an executor. */
export function inEnvironment(command: Command): Command {
  return addFile(command.option('--env <id>', 'an environment of environments.toml'));
}

export function addFile(command: Command): Command {
  return command.option('--file <path>', 'the environments.toml to use (default: where it is looked for)');
}

/** Behind another argument commander leaves the two dashes where they are. */
function behindDashes(argv: readonly string[]): readonly string[] {
  return argv[0] === '--' ? argv.slice(1) : argv;
}
