import { userInfo } from 'node:os';
import type { EnvPolicy } from '../protocol/process.ts';

type Variables = Readonly<Record<string, string>>;

/** What `inherit: core` takes, compared without regard to case. */
const coreNames = new Set([
  'PATH',
  'SHELL',
  'TMPDIR',
  'TEMP',
  'TMP',
  'HOME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'LOGNAME',
  'USER',
]);

const defaultExcludes = ['*KEY*', '*SECRET*', '*TOKEN*'];

/** Never handed to a process, whoever names them: they are secrets or switches of an executor. Compared without regard to case. */
const stripped = new Set([
  'CODEX_EXEC_SERVER_EXIT_ON_STDIN_CLOSE',
  'CODEX_EXEC_SERVER_NOISE_AUTH_TOKEN',
  'CODEX_EXEC_SERVER_REMOTE_BEARER_TOKEN',
  'EXEC_SERVER_REMOTE_TOKEN',
  'EXEC_SERVER_TOKEN',
]);

/** The executor's own variables without those. */
export function withoutSwitches(own: Variables): Variables {
  return Object.fromEntries(Object.entries(own).filter(([name]) => !stripped.has(name.toUpperCase())));
}

/** The variables of a process: exactly these, and nothing of the executor's beyond what the policy lets through. */
export function childVariables(
  own: Variables,
  policy: EnvPolicy | null | undefined,
  requested: Variables,
): Map<string, string> {
  const result = policy == null ? new Map<string, string>() : applyPolicy(own, policy);
  for (const [name, value] of Object.entries(requested)) result.set(name, value);
  for (const name of result.keys()) if (stripped.has(name.toUpperCase())) result.delete(name);
  return result;
}

function applyPolicy(own: Variables, policy: EnvPolicy): Map<string, string> {
  const result = new Map<string, string>();
  const excluded = matcher([...(policy.ignoreDefaultExcludes ? [] : defaultExcludes), ...policy.exclude]);
  for (const [name, value] of Object.entries(own)) {
    const inherited =
      policy.inherit === 'all' || (policy.inherit === 'core' && coreNames.has(name.toUpperCase()));
    if (inherited && !excluded(name)) result.set(name, value);
  }
  for (const [name, value] of Object.entries(policy.set)) result.set(name, value);
  if (policy.includeOnly.length > 0) {
    const included = matcher(policy.includeOnly);
    for (const name of result.keys()) if (!included(name)) result.delete(name);
  }
  return result;
}

function matcher(patterns: readonly string[]): (name: string) => boolean {
  const folded = patterns.map(fold);
  return (name) => {
    const characters = fold(name);
    return folded.some((pattern) => matches(pattern, characters));
  };
}

/** Characters without their case. Lower case, because the upper case of one character can be two. */
function fold(text: string): readonly string[] {
  return Array.from(text, (character) => character.toLowerCase());
}

/** `*` any run, `?` one character. Steps back to the last `*` only, so that no pattern takes exponential time. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  let p = 0;
  let star = -1;
  let resume = 0;
  if (pattern.length === 0) return false;
  for (let n = 0; n < name.length;) {
    if (pattern[p] === '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
      p += 1;
      n += 1;
    } else if (star >= 0) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}

/** The login shell of the user that the executor runs as. */
export function loginShell(own: Variables): string {
  try {
    return userInfo().shell || own['SHELL'] || '/bin/sh';
  } catch {
    // No entry in the password file, as for an arbitrary uid in a container.
    return own['SHELL'] || '/bin/sh';
  }
}
