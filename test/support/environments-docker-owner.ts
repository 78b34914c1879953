import { type DockerSourceOptions, dockerSource } from '../../src/environments/environments.ts';
import { ownVariables } from '../../src/config.ts';
import { manage } from './environments-targets.ts';

/** A program that owns an executor in a container: it opens it, starts something in it, says so, and ends when it is told. */
const options = JSON.parse(process.argv[2] ?? '') as Omit<DockerSourceOptions, 'variables'>;
const { manager } = await manage(dockerSource({ ...options, variables: ownVariables() }), {
  connectTimeoutMs: 60_000,
});
await manager.get().processes.start({ argv: ['/bin/sh', '-c', 'trap "" TERM HUP; sleep 1234567'] });
process.stdout.write('ready\n');
process.stdin.once('data', () => process.exit(0));
