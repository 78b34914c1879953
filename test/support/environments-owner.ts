import { commandSource, EnvironmentManager, staticProvider } from '../../src/environments/environments.ts';
import { ownVariables } from '../../src/config.ts';

/** A program that owns an environment: started with a command, it opens it, starts something in it, says so, and ends when it is told how. */
const [program = '', ...args] = process.argv.slice(2);
const source = commandSource({ program, args, variables: ownVariables() });
const provider = staticProvider([{ id: 'child', source, connect: { connectTimeoutMs: 60_000 } }], {
  default: 'child',
  includeLocal: false,
});
const manager = await EnvironmentManager.create(provider);
const environment = manager.get();
await environment.processes.start({ argv: ['/bin/sh', '-c', 'trap "" TERM HUP; while :; do sleep 1; done'] });
process.stdout.write('ready\n');
process.stdin.once('data', (how: Buffer) => {
  if (how.toString() === 'exit\n') process.exit(0);
  void manager[Symbol.asyncDispose]().then(() => process.exit(0));
});
