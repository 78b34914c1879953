import type { ServeConfig } from '../config.ts';
import type { HostFacts } from '../sandbox/host.ts';
import { type ProfileName, type ProfileReport, profileNames, reportProfiles } from '../sandbox/report.ts';
import { Sandboxes } from '../sandbox/sandboxes.ts';
import { stateProblem } from '../sandbox/state.ts';
import { version } from '../version.ts';

export interface DoctorFlags {
  readonly json?: boolean;
}

/** A line of the table. Where something is missing, `fix` says what to do. */
interface Row {
  readonly name: string;
  readonly good: boolean;
  readonly text: string;
  readonly fix?: string | undefined;
}

const titles: Readonly<Record<ProfileName, string>> = {
  network: 'restricted network',
  readOnly: 'read-only',
  workspaceWrite: 'workspace-write',
  restrictedRead: 'restricted read',
  denial: 'denial in a grant',
};

/** Says what sandboxes are enforced by here. Answers 0 when every profile can be, else 1. */
export async function doctor(
  config: Pick<ServeConfig, 'bubblewrap' | 'allowWeaker' | 'stateDir'>,
  { json = false }: DoctorFlags,
): Promise<number> {
  const { bubblewrap, allowWeaker, stateDir } = config;
  await using sandboxes = new Sandboxes({ bubblewrap, allowWeaker, stateDirectory: stateDir });
  const host = await sandboxes.host();
  const profiles = reportProfiles(host, allowWeaker);
  const problem = await stateProblem(stateDir);
  const state = { path: stateDir, usable: problem === undefined, ...(problem && { problem }) };
  process.stdout.write(
    json
      ? `${JSON.stringify({ version, platform: process.platform, host, state, profiles, allowWeaker }, null, 2)}\n`
      : table([...hostRows(host), stateRow(stateDir, problem)], profiles, allowWeaker),
  );
  return problem === undefined && Object.values(profiles).every(({ enforced }) => enforced) ? 0 : 1;
}

function table(
  host: readonly Row[],
  profiles: Readonly<Record<ProfileName, ProfileReport>>,
  allowWeaker: ServeConfig['allowWeaker'],
): string {
  return [
    `exec-server ${version}: sandboxes on this host`,
    '',
    ...host.flatMap(lines),
    '',
    'Profiles',
    ...profileNames.map((name) => profileRow(titles[name], profiles[name])).flatMap(lines),
    '',
    `Given up where it cannot be enforced: ${allowWeaker.length === 0 ? 'nothing' : allowWeaker.join(', ')}`,
    '',
  ].join('\n');
}

function hostRows({ launcher, bubblewrap, landlock }: HostFacts): Row[] {
  return [
    launcher.usable
      ? { name: 'launcher', good: true, text: `${launcher.path}, with seccomp filters` }
      : missing('launcher', launcher),
    bubblewrap.usable
      ? { name: 'bubblewrap', good: true, text: `${bubblewrap.path}, with user namespaces` }
      : missing('bubblewrap', bubblewrap),
    bubblewrap.usable && bubblewrap.ownProc
      ? {
          name: 'own /proc',
          good: true,
          text: 'a sandbox sees its own processes only; /proc/sys is read-only',
        }
      : {
          name: 'own /proc',
          good: false,
          text: 'a sandbox sees all processes of the host, without power over them; /proc/sys is read-only',
          // Without bubblewrap its own fix comes first.
          fix: bubblewrap.usable ? 'in a container, --security-opt systempaths=unconfined' : undefined,
        },
    landlock.usable
      ? { name: 'Landlock', good: true, text: `ABI ${landlock.abi}` }
      : missing('Landlock', landlock),
    landlock.usable && landlock.broker
      ? {
          name: 'broker',
          good: true,
          text: 'seccomp user notification keeps paths in a writable tree read-only',
        }
      : {
          name: 'broker',
          good: false,
          text: landlock.usable
            ? 'the kernel has no seccomp user notification'
            : 'it works beside Landlock, which is not usable',
          fix: landlock.usable ? 'use a kernel with CONFIG_SECCOMP_FILTER, Linux 5.9 or later' : undefined,
        },
  ];
}

function stateRow(path: string, problem: string | undefined): Row {
  const name = 'state folder';
  return problem === undefined
    ? { name, good: true, text: path }
    : { name, good: false, text: problem, fix: 'remove it, or name another one with --state-dir' };
}

function missing(name: string, { problem, fix }: { readonly problem: string; readonly fix: string }): Row {
  return { name, good: false, text: problem, fix };
}

function profileRow(name: string, report: ProfileReport): Row {
  if (!report.enforced) return { name, good: false, text: report.problem, fix: report.fix };
  const { enforcer, givenUp } = report;
  const without = givenUp.length === 0 ? '' : `, without ${givenUp.join(', ')}`;
  return { name, good: true, text: `enforced by ${enforcer}${without}` };
}

function lines({ name, good, text, fix }: Row): string[] {
  const line = `  ${good ? 'yes' : 'no '}  ${name.padEnd(20)}${text}`;
  return fix === undefined || fix === '' ? [line] : [line, `${' '.repeat(27)}To change that: ${fix}`];
}
