import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir, hostname, tmpdir } from 'node:os';
import { basename } from 'node:path';
import { loginShell } from '../process/env-policy.ts';
import type { EnvironmentInfo } from '../protocol/environment.ts';
import { requests } from '../protocol/methods.ts';
import { toFileUri } from '../protocol/path.ts';
import { version } from '../version.ts';

/** What this executor says of its environment. Made once, at its start. */
export function environmentFacts(
  own: Readonly<Record<string, string>>,
  memoryBytes: number,
  diskBytes: number,
): EnvironmentInfo {
  const shell = loginShell(own);
  return {
    shell: { name: basename(shell), path: shell },
    cwd: toFileUri(process.cwd()),
    executorVersion: version,
    providerId: `sha256:${createHash('sha256').update(`${machineId()}\n${hostname()}\n${version}`).digest('hex')}`,
    userHomeDir: toFileUri(homedir()),
    platformOs: process.platform === 'darwin' ? 'macos' : process.platform,
    tempDir: toFileUri(tmpdir()),
    temporaryDirectories: [],
    prependPathDirs: [],
    capabilities: {
      fsWatchMissing: true,
      fileWriteStreaming: true,
      httpHeaderEnvVars: true,
      execServer: {
        methods: Object.keys(requests),
        resume: true,
        journal: { memoryBytes, diskBytes },
      },
    },
  };
}

function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    // Minimal containers have none; the host name tells them apart.
    return '';
  }
}
