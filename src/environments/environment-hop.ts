import { Readable, Writable } from 'node:stream';
import type { ExecClient } from '../client/exec-client.ts';
import type { RemoteProcess } from '../client/remote-process.ts';
import { limits } from '../protocol/limits.ts';
import type { Hop, HopChild, HopExit } from './hop.ts';

/** Commands that are started inside of an environment, over its own session. */
export function environmentHop(id: string, open: () => Promise<ExecClient>): Hop {
  return {
    label: `environment "${id}"`,
    spawn: async ({ program, args, env, cwd }, signal) => {
      const client = await open();
      signal.throwIfAborted();
      const process = await client.start({
        argv: [program, ...args],
        cwd: cwd ?? client.environment?.cwd ?? '/',
        pipeStdin: true,
        // The variables that programs have there, and those of the command.
        envPolicy: { inherit: 'all', ignoreDefaultExcludes: true, exclude: [], set: {}, includeOnly: [] },
        env: { ...env },
      });
      return new RemoteChild(process);
    },
  };
}

class RemoteChild implements HopChild {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<HopExit>;
  readonly #process: RemoteProcess;
  #ending: Promise<void> | undefined;

  constructor(process: RemoteProcess) {
    this.#process = process;
    this.stdout = Readable.from(process.stdout, { objectMode: false });
    this.stderr = Readable.from(process.stderr, { objectMode: false });
    this.stdin = new Writable({
      write: (bytes: Buffer, _encoding, whenTaken) => {
        process
          .write(bytes)
          .then(
            (outcome) =>
              whenTaken(outcome === 'accepted' ? null : new Error('The child no longer reads its input.')),
            whenTaken,
          );
      },
      final: (whenDone) => void process.closeStdin().then(() => whenDone(), whenDone),
    });
    // What nobody reads or writes must not end this process.
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.on('error', () => {});
    this.exited = process.exited.then(
      ({ exitCode, signal }) => ({ code: signal == null ? exitCode : null, signal: signal ?? null }),
      // The connection to where it ran is gone, and it with that.
      () => ({ code: null, signal: 'SIGKILL' }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    try {
      await this.#process.terminate({ graceMs: limits.commandGraceMs });
    } catch {
      // Its executor ends it with the session.
    }
    this.stdin.destroy();
    this.stdout.destroy();
    this.stderr.destroy();
  }
}
