import type { Method } from '../../../src/protocol/methods.ts';

interface Sample {
  /** Parameters with which nothing but the state of the conversation can be wrong. */
  readonly good: unknown;
  /** Parameters that are refused wherever the conversation stands. */
  readonly bad: readonly unknown[];
}

const start = { processId: 'p', argv: ['/bin/true'], cwd: 'file:///', env: {}, tty: false };
const size = { rows: 24, cols: 80 };
const policy = { inherit: 'none', ignoreDefaultExcludes: false, exclude: [], set: {}, includeOnly: [] };

const file = { path: '/no/such/file' };
const request = { requestId: 'r', method: 'GET', url: 'ftp://127.0.0.1/' };
const stream = { streamId: 's', path: '/no/such/file' };
const finish = { streamId: 's', bytes: 0, sha256: '0'.repeat(64) };
const badFiles: readonly unknown[] = [undefined, {}, { path: 7 }, { path: 'relative' }];
const walk = { maxDepth: 1, maxDirectories: 1, maxEntries: 1, followDirectorySymlinks: false };

function without(object: object, name: string): object {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
}

/** Each with one change to it. */
function changed(good: object, changes: readonly object[]): object[] {
  return changes.map((change) => ({ ...good, ...change }));
}

function missingEach(good: object): object[] {
  return Object.keys(good).map((name) => without(good, name));
}

/** For each method of the table. That none is missing is a test of its own. */
export const samples: Readonly<Partial<Record<Method, Sample>>> = {
  initialize: {
    good: { clientName: 'x' },
    bad: [
      undefined,
      null,
      {},
      [],
      'x',
      ...changed({ clientName: 'x' }, [
        { clientName: null },
        { clientName: 7 },
        { clientName: 'x'.repeat(1025) },
        { resumeSessionId: 7 },
        { resumeSessionId: {} },
        { resume: 'x' },
        { resume: { secret: 7 } },
        { resume: { secret: 'x'.repeat(129) } },
        { resume: { cursors: {} } },
        { resume: { cursors: [{ processId: 'p' }] } },
        { resume: { cursors: [{ processId: 'p', afterSeq: -1 }] } },
      ]),
    ],
  },
  'environment/info': { good: undefined, bad: [{ any: 1 }, 7, 'x', false] },
  'environment/status': { good: undefined, bad: [{ any: 1 }, 7, 'x', false] },
  'environment/metrics': { good: undefined, bad: [{ any: 1 }, 7, 'x', false] },
  'process/start': {
    good: start,
    bad: [
      undefined,
      {},
      ...missingEach(start),
      ...changed(start, [
        { processId: 7 },
        { processId: 'x'.repeat(8193) },
        { argv: [] },
        { argv: 'true' },
        { argv: [7] },
        { argv: null },
        { env: { A: 7 } },
        { env: { '': 'x' } },
        { env: { 'A=B': 'x' } },
        { env: [] },
        { env: null },
        { tty: 'no' },
        { tty: null },
        { pipeStdin: null },
        { pipeStdin: 1 },
        { arg0: 7 },
        { size: { rows: 0, cols: 80 } },
        { size: { rows: 24, cols: 65_536 } },
        { size: { rows: 24.5, cols: 80 } },
        { size: { rows: 24 } },
        { timeoutMs: 0 },
        { timeoutMs: -1 },
        { timeoutMs: 1.5 },
        { timeoutMs: '1' },
        { stopGraceMs: -1 },
        { startId: '' },
        { startId: 'x'.repeat(257) },
        { onDisconnect: 'die' },
        { onDisconnect: {} },
        { onDisconnect: { terminateAfterMs: -1 } },
        { resizePolicy: 'largest' },
        { envPolicy: {} },
        ...missingEach(policy).map((envPolicy) => ({ envPolicy })),
        { envPolicy: { ...policy, inherit: 'some' } },
        { envPolicy: { ...policy, set: { A: 1 } } },
        { envPolicy: { ...policy, exclude: 'A' } },
      ]),
    ],
  },
  'process/read': {
    good: { processId: 'p' },
    bad: [
      {},
      ...changed({ processId: 'p' }, [
        { processId: null },
        { afterSeq: -1 },
        { afterSeq: 1.5 },
        { afterSeq: '1' },
        { maxBytes: -1 },
        { maxBytes: 0.5 },
        { waitMs: -1 },
        { waitMs: true },
      ]),
    ],
  },
  'process/write': {
    good: { processId: 'p', chunk: 'b25lCg==', writeId: '1' },
    bad: [
      {},
      { processId: 'p' },
      ...changed({ processId: 'p', chunk: 'b25lCg==', writeId: '1' }, [
        { writeId: '' },
        { writeId: 7 },
        { writeId: null },
        { chunk: null },
        { chunk: '!' },
        { chunk: 'b25lCg' },
        { chunk: 'b25lCg=' },
        { chunk: 'b25l\nCg==' },
        { chunk: 'b25lCh==' },
        { chunk: '-_-_' },
        { chunk: 'b25lCg==b25lCg==' },
        { chunk: '====' },
      ]),
    ],
  },
  'process/closeStdin': {
    good: { processId: 'p' },
    bad: [undefined, {}, { processId: 7 }, { processId: 'p', writeId: '' }],
  },
  'process/resize': {
    good: { processId: 'p', size },
    bad: [
      {},
      { processId: 'p' },
      { processId: 'p', size: {} },
      { processId: 'p', size: { rows: 0, cols: 0 } },
      { processId: 'p', size: { rows: -1, cols: 80 } },
      { processId: 'p', size: { rows: 24, cols: 70_000 } },
    ],
  },
  'process/signal': {
    good: { processId: 'p', signal: 'interrupt' },
    bad: [
      {},
      { processId: 'p' },
      ...changed({ processId: 'p', signal: 'interrupt' }, [
        { signal: 2 },
        { signal: 'x'.repeat(33) },
        { scope: 'session' },
        { scope: null },
      ]),
    ],
  },
  'process/terminate': {
    good: { processId: 'p' },
    bad: [{}, { processId: null }, { processId: 'p', graceMs: -1 }, { processId: 'p', graceMs: 'soon' }],
  },
  'process/list': { good: undefined, bad: [7, { includeClosed: 'yes' }] },
  'process/attach': {
    good: { processId: 'p' },
    bad: [
      {},
      ...changed({ processId: 'p' }, [{ role: 'thief' }, { afterSeq: -1 }, { key: 7 }, { localId: null }]),
    ],
  },
  'process/detach': { good: { processId: 'p' }, bad: [{}, { processId: 7 }] },
  'fs/readFile': {
    good: file,
    bad: [...badFiles, ...changed(file, [{ offset: -1 }, { length: 0.5 }, { followSymlinks: 'no' }])],
  },
  'fs/writeFile': {
    good: { ...file, dataBase64: '' },
    bad: [
      file,
      ...changed({ ...file, dataBase64: '' }, [{ dataBase64: 7 }, { mode: 65_536 }, { atomic: 1 }]),
    ],
  },
  'fs/createDirectory': { good: file, bad: [...badFiles, { ...file, recursive: 'yes' }] },
  'fs/getMetadata': { good: file, bad: [...badFiles, { ...file, sandbox: 'none' }, { ...file, details: 1 }] },
  'fs/readDirectory': { good: file, bad: badFiles },
  'fs/remove': { good: file, bad: [...badFiles, { ...file, force: 1 }] },
  'fs/copy': {
    good: { sourcePath: '/a', destinationPath: '/b', recursive: false },
    bad: missingEach({ sourcePath: '/a', destinationPath: '/b', recursive: false }),
  },
  'fs/canonicalize': { good: file, bad: badFiles },
  'fs/walk': {
    good: { ...file, options: walk },
    bad: [file, ...missingEach(walk).map((options) => Object.assign({ options }, file))],
  },
  'fs/open': { good: { ...file, handleId: 'h' }, bad: [file, { ...file, handleId: 'h', mode: 'append' }] },
  'fs/readBlock': {
    good: { handleId: 'h', offset: 0, len: 1 },
    bad: missingEach({ handleId: 'h', offset: 0, len: 1 }),
  },
  'fs/writeBlock': {
    good: { handleId: 'h', offset: 0, chunk: 'eA==' },
    bad: [
      { handleId: 'h', offset: 0, chunk: '!' },
      ...missingEach({ handleId: 'h', offset: 0, chunk: 'eA==' }),
    ],
  },
  'fs/close': { good: { handleId: 'h' }, bad: [{}, { handleId: 7 }] },
  'fs/watchMissing': { good: { watchId: 1, missing: [] }, bad: missingEach({ watchId: 1, missing: [] }) },
  'fs/rename': {
    good: { sourcePath: '/a', destinationPath: '/b' },
    bad: missingEach({ sourcePath: '/a', destinationPath: '/b' }),
  },
  'fs/createSymlink': { good: { ...file, target: 'x' }, bad: [file, { ...file, target: '' }] },
  'fs/readLink': { good: file, bad: badFiles },
  'fs/setMetadata': {
    good: file,
    bad: [...badFiles, { ...file, mode: 65_536 }, { ...file, modifiedAtMs: 'now' }],
  },
  'fs/truncate': { good: { ...file, size: 0 }, bad: [file, { ...file, size: -1 }] },
  'fs/download': { good: stream, bad: [file, { ...stream, streamId: '' }, { ...stream, creditBytes: 0 }] },
  'fs/upload': { good: stream, bad: [file, { ...stream, mode: 65_536 }] },
  'fs/archive': { good: stream, bad: [file, { ...stream, path: 'relative' }] },
  'fs/manifest': {
    good: stream,
    bad: [
      file,
      { ...stream, entries: [''] },
      { ...stream, ignore: 'x' },
      { ...stream, ignore: ['x'.repeat(5000)] },
    ],
  },
  'fs/extract': { good: stream, bad: [file, { ...stream, streamId: 7 }] },
  'stream/credit': {
    good: { streamId: 's', bytes: 1 },
    bad: [{ streamId: 's' }, { streamId: 's', bytes: 0 }],
  },
  'stream/write': {
    good: { streamId: 's', offset: 0, chunk: '' },
    bad: missingEach({ streamId: 's', offset: 0, chunk: '' }),
  },
  'stream/finish': { good: finish, bad: [...missingEach(finish), { ...finish, sha256: 'x' }] },
  'stream/cancel': { good: { streamId: 's' }, bad: [{}, { streamId: 7 }] },
  'fs/watch': { good: { ...file, watchId: 'w' }, bad: [file, { watchId: 'w' }, { ...file, watchId: 7 }] },
  'fs/unwatch': { good: { watchId: 'w' }, bad: [{}, { watchId: 7 }] },
  'fs/glob': { good: { ...file, patterns: ['*'] }, bad: [file, { ...file, patterns: [] }] },
  'fs/grep': { good: { ...file, pattern: 'x' }, bad: [file, { ...file, pattern: '' }] },
  'http/request': {
    good: request,
    bad: [
      undefined,
      ...missingEach(request),
      ...changed(request, [
        { headers: null },
        { headers: [{ name: 'a' }] },
        { bodyBase64: '!' },
        { timeoutMs: -1 },
        { streamResponse: null },
        { redirectPolicy: 'error' },
        { responseStreamId: '' },
        { bodyStreamId: 7 },
        { unixSocket: 'relative' },
        { sandbox: 'none' },
      ]),
    ],
  },
  'http/cancel': { good: { requestId: 'r' }, bad: [undefined, {}, { requestId: 7 }] },
  'fs/cancelSearch': { good: { searchId: 's' }, bad: [{}, { searchId: 7 }] },
};
