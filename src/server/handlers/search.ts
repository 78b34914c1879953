import { stat } from 'node:fs/promises';
import { systemError } from '../../file-system/file-error.ts';
import { unseenBelow } from '../../file-system/shown-unseen.ts';
import { translatePattern } from '../../file-system/search/dialect.ts';
import type { Job, ResultBounds, Results } from '../../file-system/search/messages.ts';
import { PatternError } from '../../file-system/search/pattern-reader.ts';
import { filesWithMatches } from '../../file-system/search/ripgrep.ts';
import type { SearchEnding, Work } from '../../file-system/search/searches.ts';
import { splitLast } from '../../disk/folder.ts';
import { invalidParams, invalidRequest } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import type { Params, WireResult } from '../../protocol/methods.ts';
import type { searchRequests } from '../../protocol/search-methods.ts';
import type { FileContext } from '../handlers.ts';
import { guarded } from './guarded.ts';

type Filter = Work['filter'];
type GrepResult = WireResult<'fs/grep'>;

const noFilter: Filter = async () => undefined;

/** `ripgrep`: the path of the program, which is asked for when it is needed first; undefined where every file is searched by this process. */
export function searchHandlers(ripgrep: () => Promise<string | undefined>) {
  return guarded<keyof typeof searchRequests>({
    'fs/glob': async (params, context) => {
      const { path, patterns, exclude, includeDirectories, includeHidden, maxResults, searchId } = params;
      let isUnseen = (_shown: string): boolean => false;
      const prepare = async (): Promise<Work> => {
        isUnseen = await unseenBelow(path, context.files.unseen);
        if (!(await stat(path.bytes)).isDirectory()) throw systemError('ENOTDIR');
        const job: Job = {
          kind: 'glob',
          root: path.bytes,
          form: path.form,
          patterns,
          exclude,
          includeDirectories,
          includeHidden,
          bounds: boundsOf(maxResults, searchId),
        };
        return { job, filter: noFilter };
      };
      const see = (results: Results): Results => ({
        ...results,
        ...(results.paths && { paths: results.paths.filter((shown) => !isUnseen(shown)) }),
      });
      const { found, ending } = await run(params, prepare, context, see);
      const { total, paths } = found;
      return { ...(searchId == null && { paths }), total, ...endingOf(ending) };
    },

    'fs/grep': async (params, context): Promise<GrepResult> => {
      const pattern = patternOf(params);
      const { found, ending } = await run(params, () => prepareGrep(params, pattern, ripgrep), context);
      const { files, skippedBinary, skippedLarge } = ending.counts;
      const { total, matches } = found;
      return {
        ...(params.searchId == null && { matches }),
        total,
        files,
        ...endingOf(ending),
        skippedBinary,
        skippedLarge,
      };
    },

    'fs/cancelSearch': ({ searchId }, { files }) => {
      files.searches.cancel(searchId);
      return {};
    },
  });
}

async function prepareGrep(
  params: Params<'fs/grep'>,
  pattern: ReturnType<typeof translatePattern>,
  ripgrep: () => Promise<string | undefined>,
): Promise<Work> {
  const { path, include, exclude, includeHidden, before, after, maxFileBytes, searchId } = params;
  const root = await stat(path.bytes);
  if (!root.isDirectory() && !root.isFile())
    throw invalidRequest('The path is neither a directory nor a regular file.');
  const directory = root.isFile() ? splitLast(path.bytes).parent : path.bytes;
  const usable = pattern.ripgrep !== undefined && isText(directory);
  const program = usable ? await ripgrep() : undefined;
  const job: Job = {
    kind: 'grep',
    root: path.bytes,
    form: path.form,
    isFile: root.isFile(),
    source: pattern.script,
    include,
    exclude,
    includeHidden,
    before,
    after,
    maxFileBytes,
    filtered: program !== undefined,
    bounds: boundsOf(params.maxMatches, searchId),
  };
  const options = { directory: directory.toString(), pattern: pattern.ripgrep ?? '' };
  const filter: Filter =
    program === undefined
      ? noFilter
      : async (names, signal) => filesWithMatches(program, names, options, signal);
  return { job, filter };
}

interface Found {
  total: number;
  readonly paths: NonNullable<Results['paths']>;
  readonly matches: NonNullable<Results['matches']>;
}

/** Runs the search. Its results go out at once where it has an id, and are collected where it has none. */
async function run(
  { searchId, timeoutMs }: Pick<Params<'fs/grep'>, 'searchId' | 'timeoutMs'>,
  prepare: () => Promise<Work>,
  { files, notify, request }: FileContext,
  see = (results: Results): Results => results,
): Promise<{ found: Found; ending: SearchEnding }> {
  const found: Found = { total: 0, paths: [], matches: [] };
  const onResults = (all: Results): void => {
    const results = see(all);
    const { paths = [], matches = [] } = results;
    found.total += paths.length + matches.length;
    if (searchId != null) notify('fs/matches', { searchId, ...results });
    else {
      for (const path of paths) found.paths.push(path);
      for (const match of matches) found.matches.push(match);
    }
  };
  const search = { id: searchId ?? undefined, timeoutMs, onResults, prepare };
  return { ending: await files.searches.run(search, request.signal), found };
}

/** An answer that holds all results is one message, whose values are bounded, too. */
function boundsOf(count: number, searchId: string | null | undefined): ResultBounds {
  const values = searchId == null ? limits.searchResultValues : Infinity;
  return { count, bytes: limits.searchResultBytes, values };
}

function endingOf({
  truncatedBy,
  counts: { errors },
}: SearchEnding): Pick<GrepResult, 'truncated' | 'truncatedBy' | 'errors'> {
  return {
    truncated: truncatedBy !== undefined,
    ...(truncatedBy !== undefined && { truncatedBy }),
    ...(errors > 0 && { errors }),
  };
}

function patternOf({
  pattern,
  literal,
  caseSensitive,
}: Params<'fs/grep'>): ReturnType<typeof translatePattern> {
  try {
    return translatePattern(pattern, { literal, caseSensitive });
  } catch (error) {
    if (error instanceof PatternError) throw invalidParams(`params.pattern: not supported: ${error.message}`);
    throw error;
  }
}

function isText(path: Buffer): boolean {
  return Buffer.from(path.toString()).equals(path);
}
