import { connect, pipelined, roundTrip } from './calls.ts';
import { bulk, streams } from './echoes.ts';
import { memory, startUp } from './executor.ts';
import { parallelSpawns, ptyEcho, ptySpawn, spawn } from './processes.ts';
import { httpLatency, httpParallel, httpStream } from './http.ts';
import type { Row } from './row.ts';
import { sandboxedSpawn } from './sandbox.ts';
import { sandboxedRead, sandboxedWrite } from './sandbox-files.ts';
import { syncTree } from './sync.ts';
import { input, lines, output } from './transfers.ts';

/** In the order of the table. */
export const ALL_ROWS: readonly Row[] = [
  roundTrip,
  pipelined,
  spawn,
  parallelSpawns,
  ptySpawn,
  ptyEcho,
  output,
  lines,
  input,
  bulk,
  streams,
  sandboxedSpawn,
  sandboxedRead,
  sandboxedWrite,
  httpLatency,
  httpParallel,
  httpStream,
  syncTree,
  connect,
  startUp,
  memory,
];
