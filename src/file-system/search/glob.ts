import { nameMatcher, pathMatcher, reachOf } from './globs.ts';
import type { Counts, FromThread, GlobJob } from './messages.ts';
import { Outlet } from './outlet.ts';
import { pathWriter } from './shown-path.ts';
import { walkTree } from './tree.ts';

/** Runs an fs/glob on a search thread. */
export function glob(job: GlobJob, send: (message: FromThread) => void): FromThread {
  const root = Buffer.from(job.root);
  let errors = 0;
  const counts = (): Counts => ({ files: 0, errors, skippedBinary: 0, skippedLarge: 0 });
  const outlet = new Outlet<string>(job.bounds, (paths) =>
    send({ kind: 'results', results: { paths }, counts: counts() }),
  );
  const matches = pathMatcher(job.patterns, job.includeHidden);
  const write = pathWriter(root, job.form);
  const entries = walkTree(root, {
    skips: nameMatcher(job.exclude),
    enters: reachOf(job.patterns, job.includeHidden),
    onError: () => void (errors += 1),
  });
  for (const entry of entries) {
    if (entry.kind === 'directory' && !job.includeDirectories) continue;
    if (!matches(entry.text)) continue;
    if (!outlet.add(write(entry.bytes), 1)) break;
    outlet.offer();
  }
  outlet.flush();
  return { kind: 'done', counts: counts(), truncatedBy: outlet.truncatedBy };
}
