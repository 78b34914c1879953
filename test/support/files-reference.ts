import { chmod, mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { asNobody } from './files-session.ts';
import {
  type RunningExecutor,
  environmentWithHome,
  installCodex,
  launchExecutor,
  startReferenceExecutor,
} from './reference.ts';

/** Opens the binary while that is permitted: its folder may be closed to the user under whom it then runs. */
const openFirst = 'exec 3<"$0"; exec "$@"';

/** The reference executor, under a user without privileges if asked. */
export async function startReference(version: string, unprivileged: boolean): Promise<RunningExecutor> {
  if (!unprivileged) return startReferenceExecutor(version);
  const binary = await installCodex(version);
  const home = await mkdtemp(path.join(tmpdir(), 'exec-files-reference-'));
  await mkdir(path.join(home, '.codex'));
  await chmod(home, 0o777);
  await chmod(path.join(home, '.codex'), 0o777);
  return launchExecutor({
    command: '/bin/sh',
    args: [
      '-c',
      openFirst,
      binary,
      ...asNobody(),
      '/proc/self/fd/3',
      'exec-server',
      '--listen',
      'ws://127.0.0.1:0',
    ],
    cwd: '/',
    env: environmentWithHome(home),
    home,
  });
}
