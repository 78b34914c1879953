import type { Row } from './row.ts';
import { copyRows, readRows, writeRows } from './table-content.ts';
import { createDirectoryRows, metadataRows, readDirectoryRows, removeRows } from './table-directories.ts';
import { extensionRows } from './table-extensions.ts';
import { handleRows } from './table-handles.ts';
import { noFollowRows } from './table-no-follow.ts';
import { codeRows, decodingRows, plainPathRows, uriRows } from './table-paths.ts';
import { canonicalizeRows, walkRows } from './table-walk.ts';
import { sandboxRows, watchRows } from './table-watch.ts';

/** What every file method answers, and does, in every case that is known of the reference executor. */
export const table: readonly Row[] = [
  ...decodingRows,
  ...plainPathRows,
  ...uriRows,
  ...codeRows,
  ...readRows,
  ...writeRows,
  ...createDirectoryRows,
  ...metadataRows,
  ...readDirectoryRows,
  ...removeRows,
  ...copyRows,
  ...canonicalizeRows,
  ...walkRows,
  ...handleRows,
  ...noFollowRows,
  ...watchRows,
  ...sandboxRows,
  ...extensionRows,
];
