import picomatch from 'picomatch';

/** A glob pattern that cannot be used. The message quotes it and says why. */
export class GlobError extends Error {
  override readonly name = 'GlobError';
}

/** What a pattern is matched against. */
export interface Named {
  readonly name: string;
  /** Relative to the directory of the search, without a slash at its end. */
  readonly text: string;
}

/** Matches whole paths. */
export function pathMatcher(patterns: readonly string[], dot: boolean): (path: string) => boolean {
  const matchers = patterns.map((pattern) => compile(pattern, dot));
  return (path) => matchers.some((matches) => matches(path));
}

/** Matches names where a pattern has no slash, and whole paths where it has one. Wildcards match dots. */
export function nameMatcher(patterns: readonly string[]): (entry: Named) => boolean {
  // A trailing slash is habit from ignore files.
  const plain = patterns.map((pattern) => (pattern.length > 1 ? pattern.replace(/\/$/, '') : pattern));
  const names = pathMatcher(
    plain.filter((pattern) => !pattern.includes('/')),
    true,
  );
  const paths = pathMatcher(
    plain.filter((pattern) => pattern.includes('/')),
    true,
  );
  return (entry) => names(entry.name) || paths(entry.text);
}

function compile(pattern: string, dot: boolean): (path: string) => boolean {
  const problem = problemOf(pattern);
  if (problem !== undefined) throw new GlobError(`${JSON.stringify(pattern)} ${problem}`);
  try {
    return picomatch(pattern, { dot, debug: true });
  } catch (error) {
    throw new GlobError(`${JSON.stringify(pattern)} is no glob pattern`, { cause: error });
  }
}

function problemOf(pattern: string): string | undefined {
  if (pattern.startsWith('/')) return 'is absolute; patterns are relative to the path of the search';
  if (pattern.split('/').includes('..')) return 'leaves the path of the search by ".."';
  if (/^!(?!\()/.test(pattern)) return 'is a negation; name what to leave out in exclude';
  return undefined;
}

/** Whether a directory, named by its path, can have something that a pattern matches below it. May say yes in vain. */
export function reachOf(patterns: readonly string[], dot: boolean): (directory: Named) => boolean {
  const reaches = patterns.map((pattern) => {
    const base = /[\\!]/.test(pattern) ? '' : picomatch.scan(pattern).base;
    const anyDepth = /\*\*|\(/.test(pattern);
    return { base, depth: anyDepth ? Infinity : pattern.replace(/^\.\//, '').split('/').length - 1 };
  });
  // A dot at the start of a name can be written in more ways than one, so a doubt counts as yes.
  const hidden = dot || patterns.some((pattern) => /(?:^|[^\w*?\]}])\.|[[\\]/.test(pattern));
  return ({ name, text }) => {
    if (!hidden && name.startsWith('.')) return false;
    const depth = text.split('/').length;
    return reaches.some((reach) => depth <= reach.depth && onTheWay(text, reach.base));
  };
}

function onTheWay(directory: string, base: string): boolean {
  return (
    base === '' || base === directory || base.startsWith(`${directory}/`) || directory.startsWith(`${base}/`)
  );
}
