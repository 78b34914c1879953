import { z } from 'zod';
import { Common, flag } from './file-system.ts';
import { limits } from './limits.ts';
import { Count, FilePath } from './primitives.ts';

const SearchId = z.string().min(1).max(limits.searchIdLength).meta({
  description:
    'Chosen by the client, unique among the running searches of its connection. With it the results come in fs/matches as they are found, and the search can be cancelled.',
});

const Globs = z.array(z.string().min(1).max(limits.searchPatternLength)).max(limits.searchPatterns);

/** `include` and `exclude`: a plain name finds its file in every directory, as users of grep and ripgrep expect. */
const NameGlobs = Globs.nullish().transform((globs) => globs ?? []);

const Exclude = NameGlobs.meta({
  description:
    'Glob patterns of what is left out; nothing below an excluded directory is looked at. One without a slash is matched against the name in every directory, others against the whole path relative to `path`.',
});

const TimeoutMs = z
  .int()
  .min(1)
  .max(limits.searchMsMost)
  .nullish()
  .transform((milliseconds) => milliseconds ?? limits.searchMs)
  .meta({
    description: `Milliseconds after which the search ends with what it has; ${limits.searchMs} if absent.`,
  });

export const GlobParams = z.object({
  path: FilePath.meta({ description: 'The directory to search. Links in this path are followed.' }),
  patterns: Globs.min(1).meta({
    description:
      'Glob patterns relative to `path`: *, ?, [a-z], {a,b}, ** over directories, and extended ones such as !(a|b). A path is listed when one of them matches.',
  }),
  exclude: Exclude,
  includeDirectories: flag(false, 'Also list directories.'),
  includeHidden: flag(true, 'Wildcards match names that begin with a dot.'),
  maxResults: z
    .int()
    .min(1)
    .max(limits.globResultsMost)
    .nullish()
    .transform((count) => count ?? limits.globResults)
    .meta({ description: `${limits.globResults} if absent.` }),
  searchId: SearchId.nullish(),
  timeoutMs: TimeoutMs,
  ...Common,
});

const Ending = {
  truncated: z.boolean().meta({ description: 'There may be more.' }),
  truncatedBy: z.enum(['matches', 'bytes', 'time', 'cancelled']).optional().meta({
    description:
      'What has ended the search early: the number or the bytes of its results, its time, or the client.',
  }),
  errors: Count.optional().meta({
    description: 'Directories and files that could not be read; absent if there were none.',
  }),
};

const Paths = z.array(z.string()).meta({ description: 'In the form of the request, sorted by bytes.' });

export const GlobResult = z.object({
  paths: Paths.optional().meta({
    description: 'In the form of the request, sorted by bytes; absent where they came in fs/matches.',
  }),
  total: Count.meta({ description: 'Paths listed.' }),
  ...Ending,
});

const ContextLines = z
  .int()
  .min(0)
  .max(limits.grepContextLines)
  .nullish()
  .transform((lines) => lines ?? 0);

export const GrepParams = z.object({
  path: FilePath.meta({
    description: 'A directory or a file. Links in this path are followed, others never.',
  }),
  pattern: z.string().min(1).max(limits.searchPatternLength).meta({
    description:
      'A regular expression over the bytes of one line: literals, classes with \\d \\w \\s, ^ $ \\b \\B, groups, alternation, greedy and lazy quantifiers. Without look-around, backreferences and inline flags.',
  }),
  literal: flag(false, 'The pattern is a plain text.'),
  caseSensitive: flag(true, 'false: ASCII letters match both cases.'),
  include: NameGlobs.meta({
    description: 'Glob patterns of the files to search, written like those of `exclude`; all if absent.',
  }),
  exclude: Exclude,
  includeHidden: flag(true, 'Search files and directories whose names begin with a dot.'),
  before: ContextLines.meta({ description: 'Lines before each match; 0 if absent.' }),
  after: ContextLines.meta({ description: 'Lines after each match; 0 if absent.' }),
  maxMatches: z
    .int()
    .min(1)
    .max(limits.grepMatchesMost)
    .nullish()
    .transform((count) => count ?? limits.grepMatches)
    .meta({ description: `Lines; ${limits.grepMatches} if absent.` }),
  maxFileBytes: z
    .int()
    .min(1)
    .max(limits.grepFileBytesMost)
    .nullish()
    .transform((bytes) => bytes ?? limits.grepFileBytes)
    .meta({ description: `Larger files are skipped; ${limits.grepFileBytes} if absent.` }),
  searchId: SearchId.nullish(),
  timeoutMs: TimeoutMs,
  ...Common,
});

export const GrepMatch = z.object({
  path: z.string(),
  lineNumber: z.int().positive(),
  line: z.string().meta({ description: 'Without its line end, with U+FFFD where it is not UTF-8.' }),
  lineTruncated: z
    .literal(true)
    .optional()
    .meta({ description: `The line is longer than the ${limits.searchLineBytes} bytes that are shown.` }),
  lineOffset: Count.optional().meta({
    description:
      'Byte of the line at which `line` begins, where a long line is shown around its first match.',
  }),
  submatches: z.array(z.object({ start: Count, end: Count })).meta({
    description: `Bytes of the line that match, as far as they are not empty; the first ${limits.lineSubmatches}.`,
  }),
  before: z.array(z.string()).optional().meta({ description: 'Where asked for; each line cut like `line`.' }),
  after: z.array(z.string()).optional(),
});

export const GrepResult = z.object({
  matches: z.array(GrepMatch).optional().meta({
    description: 'By path in order of bytes, then by line; absent where they came in fs/matches.',
  }),
  total: Count.meta({ description: 'Matching lines given.' }),
  files: Count.meta({ description: 'Files in which they are.' }),
  ...Ending,
  skippedBinary: Count.meta({
    description: `Files with a NUL byte in their first ${limits.binaryProbeBytes} bytes, which are not searched.`,
  }),
  skippedLarge: Count.meta({ description: 'Files above maxFileBytes.' }),
});

export const Matches = z.object({
  searchId: z.string(),
  paths: z.array(z.string()).optional(),
  matches: z.array(GrepMatch).optional(),
});

export const CancelSearchParams = z.object({ searchId: SearchId });
