import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir, hostname, tmpdir } from 'node:os';
import { basename } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { loginShell } from '../process/env-policy.ts';
import type { EnvironmentInfo, SandboxFacts } from '../protocol/environment.ts';
import { limits } from '../protocol/limits.ts';
import { requests } from '../protocol/methods.ts';
import { toFileUri } from '../protocol/path.ts';
import type { HostFacts } from '../sandbox/host.ts';
import type { WeakerGuarantee } from '../sandbox/plan.ts';
import { reportProfiles } from '../sandbox/report.ts';
import { toError } from '../support/to-error.ts';
import { version } from '../version.ts';

export interface EnvironmentFactsOptions {
  /** The executor's own variables. */
  readonly own: Readonly<Record<string, string>>;
  /** Of one journal. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly host: Promise<HostFacts>;
  readonly allowWeaker: readonly WeakerGuarantee[];
}

export interface EnvironmentFacts {
  readonly current: () => EnvironmentInfo;
  /** Resolves when nothing is missing any more. */
  readonly complete: Promise<void>;
}

/** What this executor says of its environment. All of it is found at its start, and the sandboxes some milliseconds later. */
export function environmentFacts(options: EnvironmentFactsOptions): EnvironmentFacts {
  const facts = fixedFacts(options);
  let current: EnvironmentInfo = facts;
  const found = options.host.catch(noHost).then((host) => {
    const sandbox = { ...publicFacts(host), profiles: reportProfiles(host, options.allowWeaker) };
    const { capabilities } = facts;
    current = {
      ...facts,
      capabilities: { ...capabilities, execServer: { ...capabilities.execServer, sandbox } },
    };
  });
  const late = setTimeout(limits.sandboxFactsMs, undefined, { ref: false });
  return { current: () => current, complete: Promise.race([found, late]) };
}

/** Paths of the executor's own programs are no matter of a client. */
function publicFacts({ launcher, bubblewrap, landlock }: HostFacts): Omit<SandboxFacts, 'profiles'> {
  return {
    launcher: launcher.usable ? { usable: true } : launcher,
    bubblewrap: bubblewrap.usable ? { usable: true, ownProc: bubblewrap.ownProc } : bubblewrap,
    landlock,
  };
}

/** Whoever needs a sandbox is told the same when it is asked for. */
function noHost(error: unknown): HostFacts {
  const problem = `it cannot be found out what this host can enforce (${toError(error).message})`;
  const no = { usable: false, problem, fix: 'mend that and start the executor again' } as const;
  return { launcher: no, bubblewrap: no, landlock: no };
}

function fixedFacts({ own, memoryBytes, diskBytes }: EnvironmentFactsOptions) {
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
      sandboxedFileStreaming: true,
      httpHeaderEnvVars: true,
      execServer: {
        methods: Object.keys(requests),
        resume: true,
        journal: { memoryBytes, diskBytes },
      },
    },
  } satisfies EnvironmentInfo;
}

function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    // Minimal containers have none; the host name tells them apart.
    return '';
  }
}
