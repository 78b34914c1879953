import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';

import { dockerSource } from '../../src/environments/environments.ts';
import { ownVariables } from '../../src/config.ts';
import { executorVariables, flags } from './conformance-targets.ts';
import { docker, installHint, succeeds } from './docker.ts';
import { ensureBase } from './docker-image.ts';
import { testBundle } from './environments-bundle.ts';
import { type ReachedKind, executors } from './environments-targets.ts';

/** Makes the images, and the bundle. */
export const preparationMs = 600_000;

/** Whether there is an engine; with CI=true there must be one. */
export async function hasDocker(): Promise<boolean> {
  const available = await succeeds('docker', 'version');
  if (!available && process.env['CI'] === 'true') throw new Error(installHint);
  if (!available) process.stderr.write(`Skipped. ${installHint}\n`);
  return available;
}

/** A Debian without Node, with what some of the cases run. */
export async function imageWithoutNode(): Promise<string> {
  return process.env['EXEC_SERVER_BASE_IMAGE'] || (await ensureBase(['bubblewrap', 'python3-minimal']));
}

export interface TestContainer extends AsyncDisposable {
  readonly name: string;
}

/** A container that does nothing until somebody makes it. */
export async function idleContainer(image: string, options: readonly string[] = []): Promise<TestContainer> {
  const name = `exec-server-test-${randomUUID()}`;
  await docker('run', '--detach', '--init', '--name', name, ...options, image, 'sleep', 'infinity');
  return { name, [Symbol.asyncDispose]: async () => void (await docker('rm', '--force', name)) };
}

/**
 * Executors in one container that is there. It shows the processes, the network and the temporary files of this machine, because the cases
 * look at what happens from the outside.
 */
export function dockerKind(container: () => string, via?: string): ReachedKind {
  return {
    kind: 'docker',
    name: 'stdio',
    sharesSessions: false,
    reach: async (mark, options) => {
      const kill = async (signal: NodeJS.Signals): Promise<void> => {
        for (const pid of await executors(mark)) process.kill(pid, signal);
      };
      return {
        source: dockerSource({
          container: container(),
          via,
          env: executorVariables(mark),
          args: flags(options),
          bundle: await testBundle(),
          variables: ownVariables(),
        }),
        shutDown: () => kill('SIGTERM'),
        lose: () => kill('SIGKILL'),
        [Symbol.asyncDispose]: async () => {},
      };
    },
  };
}

/** Of such a container; and what lets bubblewrap work there as it does on this machine. */
export const showingEverything = [
  '--pid=host',
  '--network=host',
  '--volume',
  `${tmpdir()}:${tmpdir()}`,
  '--security-opt=seccomp=unconfined',
  '--security-opt=systempaths=unconfined',
];
