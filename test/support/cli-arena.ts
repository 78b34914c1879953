import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';

import { type Folder, type Server, cliFolder, startServer } from './cli-program.ts';
import { expectNothingLeft } from './conformance-leftovers.ts';

export interface CliArena {
  /** Of all processes that the tests start. */
  readonly mark: string;
  readonly server: Server;
  readonly folder: Folder;
}

/** An executor that listens for the tests of a file, and a folder for each of them. Fails when a process stays. */
export function cliArena(): CliArena {
  const mark = randomUUID();
  let server: Server | undefined;
  let folder: Folder | undefined;

  beforeAll(async () => {
    server = await startServer([], { mark });
  });

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await expectNothingLeft(mark);
  });

  beforeEach(async () => {
    folder = await cliFolder();
  });

  afterEach(async () => folder?.[Symbol.asyncDispose]());

  return {
    mark,
    get server() {
      return there(server);
    },
    get folder() {
      return there(folder);
    },
  };
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('No test runs.');
  return value;
}
