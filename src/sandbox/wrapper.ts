import { invalidParams, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import { type EnvironmentPath, parsePath } from '../protocol/path.ts';
import { PermissionProfileParam } from '../protocol/permission-profile.ts';
import type { SandboxContext } from '../protocol/sandbox.ts';
import { issuesText } from './issues.ts';

/** A start whose command is a client's own sandbox helper, as what the helper was to do. */
export interface WrappedCommand {
  readonly context: SandboxContext;
  readonly cwd: EnvironmentPath;
  readonly argv: string[];
}

const helper = 'codex-linux-sandbox';

const withValue = ['--sandbox-policy-cwd', '--command-cwd', '--permission-profile'] as const;
type WithValue = (typeof withValue)[number];

/** Why a flag of the helper is not taken. */
const refused: ReadonlyMap<string, string> = new Map([
  [
    '--allow-network-for-proxy',
    'a network that leads to a proxy only is not something that this executor can enforce',
  ],
  ['--sandbox-policy', 'that form of policy was dropped in May 2026; send --permission-profile'],
  ['--file-system-sandbox-policy', 'that form of policy was dropped in May 2026; send --permission-profile'],
  ['--network-sandbox-policy', 'that form of policy was dropped in May 2026; send --permission-profile'],
  ['--apply-seccomp-then-exec', 'it is a step that the helper takes itself'],
]);

/**
 * Clients of May 2026 confine a command by starting it through a helper of theirs. undefined: this is another command. Throws an RpcError
 * for a helper's command that is not understood: it asks for confinement, so that it is never run without.
 */
export function readSandboxWrapper(
  argv: readonly string[],
  arg0: string | null | undefined,
): WrappedCommand | undefined {
  if (!isHelper(argv[0]) && !isHelper(arg0)) return undefined;
  const end = argv.indexOf('--', 1);
  if (end < 0) throw wrong('has no -- before the command to run');
  const command = argv.slice(end + 1);
  if (command.length === 0) throw wrong('has no command after --');
  const { values, useLegacyLandlock } = readFlags(argv.slice(1, end));
  const cwd = folder(values, '--command-cwd');
  const context: SandboxContext = {
    permissions: profile(valueOf(values, '--permission-profile')),
    cwd: folder(values, '--sandbox-policy-cwd'),
    workspaceRoots: undefined,
    temporaryDirectories: undefined,
    useLegacyLandlock,
    generation: 'may2026',
  };
  return { context, cwd, argv: command };
}

function isHelper(program: string | null | undefined): boolean {
  return program?.split('/').at(-1) === helper;
}

function readFlags(flags: readonly string[]): {
  values: ReadonlyMap<WithValue, string>;
  useLegacyLandlock: boolean;
} {
  const values = new Map<WithValue, string>();
  const switches = new Set<string>();
  for (let i = 0; i < flags.length; i++) {
    const text = flags[i] ?? '';
    const equals = text.startsWith('--') ? text.indexOf('=') : -1;
    const name = equals < 0 ? text : text.slice(0, equals);
    const reason = refused.get(name);
    if (reason !== undefined)
      throw invalidRequest(`The sandbox helper's flag ${name} is refused: ${reason}.`);
    const flag = withValue.find((flag) => flag === name);
    if (flag !== undefined) {
      if (values.has(flag)) throw wrong(`has ${flag} more than once`);
      if (equals < 0) i += 1;
      const value = equals < 0 ? flags[i] : text.slice(equals + 1);
      if (value === undefined) throw wrong(`has ${flag} without a value`);
      values.set(flag, value);
      // A process file system of its own is part of every sandbox here, so that --no-proc changes nothing.
    } else if (text === '--use-legacy-landlock' || text === '--no-proc') switches.add(text);
    else throw wrong('has a flag that this executor does not know');
  }
  return { values, useLegacyLandlock: switches.has('--use-legacy-landlock') };
}

function valueOf(values: ReadonlyMap<WithValue, string>, flag: WithValue): string {
  const value = values.get(flag);
  if (value === undefined) throw wrong(`has no ${flag}`);
  return value;
}

function folder(values: ReadonlyMap<WithValue, string>, flag: WithValue): EnvironmentPath {
  const path = parsePath(valueOf(values, flag));
  if ('problem' in path) throw wrong(`has a path as ${flag} that ${path.problem}`);
  return path;
}

function profile(text: string): SandboxContext['permissions'] {
  if (text.length > limits.sandboxArgumentLength) throw wrong('has a --permission-profile that is too long');
  const parsed = PermissionProfileParam.safeParse(parseJson(text));
  if (!parsed.success) throw wrong(`has a --permission-profile that is none: ${issuesText(parsed.error)}`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw wrong('has a --permission-profile that is no JSON');
  }
}

function wrong(problem: string): Error {
  return invalidParams(
    `The command is a sandbox helper's (${helper}), and it ${problem}, so that nothing was started.`,
  );
}
