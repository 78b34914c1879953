import { isFile } from './search-programs.ts';

import { grep } from '../../src/file-system/search/grep.ts';
import { type Pattern, translatePattern } from '../../src/file-system/search/dialect.ts';
import type { GrepMatch } from '../../src/file-system/search/line-matches.ts';
import type { FromThread, GrepJob } from '../../src/file-system/search/messages.ts';
import { filesWithMatches } from '../../src/file-system/search/ripgrep.ts';
import { limits } from '../../src/protocol/limits.ts';

export interface EngineOptions extends Partial<GrepJob> {
  readonly pattern: string;
  readonly literal?: boolean;
  readonly caseSensitive?: boolean;
  /** The path of ripgrep; the own engine alone if absent. */
  readonly ripgrep?: string | undefined;
}

export interface EngineAnswer {
  readonly matches: GrepMatch[];
  readonly last: FromThread;
}

/** Runs an fs/grep of a folder or file in this thread. */
export async function grepWith(path: string, options: EngineOptions): Promise<EngineAnswer> {
  const { literal = false, caseSensitive = true, ripgrep, ...others } = options;
  const pattern = translatePattern(options.pattern, { literal, caseSensitive });
  const job = grepJob(path, pattern, {
    filtered: ripgrep !== undefined && pattern.ripgrep !== undefined,
    ...others,
  });
  const matches: GrepMatch[] = [];
  const send = (message: FromThread): void => {
    if (message.kind === 'results') matches.push(...(message.results.matches ?? []));
  };
  const directory = job.isFile ? path.slice(0, path.lastIndexOf('/')) : path;
  const last = await grep(job, send, async (names) =>
    filesWithMatches(
      ripgrep ?? '',
      names,
      { directory, pattern: pattern.ripgrep ?? '' },
      new AbortController().signal,
    ),
  );
  return { matches, last };
}

function grepJob(path: string, pattern: Pattern, others: Partial<GrepJob>): GrepJob {
  return {
    kind: 'grep',
    root: Buffer.from(path),
    form: 'plain',
    isFile: isFile(path),
    source: pattern.script,
    include: [],
    exclude: [],
    includeHidden: true,
    before: 0,
    after: 0,
    maxFileBytes: limits.grepFileBytes,
    filtered: false,
    bounds: { count: 10_000, bytes: limits.searchResultBytes, values: Infinity },
    ...others,
  };
}
