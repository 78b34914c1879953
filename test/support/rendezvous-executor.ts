import { ExecClient, type ConnectOptions } from '../../src/client/exec-client.ts';
import type { LimitSettings } from '../../src/protocol/limit-settings.ts';
import { DialLoop, type DialLoopOptions } from '../../src/server/rendezvous/dial-loop.ts';
import type { RendezvousSettings } from '../../src/server/rendezvous/settings.ts';
import { ExecServer } from '../../src/server/exec-server.ts';
import { noSecure, settingsFor } from './rendezvous-registering.ts';
import type { RecordedRegistry } from './rendezvous-registry.ts';
import { expectSoon } from './unit-wait.ts';

/** A line of the executor's log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly problem?: string;
  readonly nextMs?: number;
}

export interface DialledExecutorOptions extends Partial<DialLoopOptions> {
  readonly settings?: Partial<RendezvousSettings>;
  readonly limits?: Partial<LimitSettings>;
  readonly detachedSessionMs?: number;
  readonly onWarning?: () => void;
}

/** An executor in this process that keeps itself at a registry. Its waits are short, so that tests see several of them. */
export class DialledExecutor implements AsyncDisposable {
  readonly server: ExecServer;
  readonly log: LogLine[] = [];
  /** How its loop has ended. */
  readonly ended: Promise<unknown>;
  readonly #stop = new AbortController();
  readonly #online = Promise.withResolvers<void>();

  constructor(registry: RecordedRegistry, options: DialledExecutorOptions = {}) {
    const write =
      (level: string) =>
      (fields: object, message: string): void => {
        this.log.push({ level, message, ...fields });
        if (level === 'warn') options.onWarning?.();
      };
    this.server = new ExecServer({
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
      limits: options.limits,
      detachedSessionMs: options.detachedSessionMs,
    });
    const loop = new DialLoop(this.server, settingsFor(registry, options.settings), {
      secure: noSecure,
      waits: { firstMs: 10, mostMs: 40 },
      onOnline: () => this.#online.resolve(),
      ...options,
    });
    this.ended = loop.run(this.#stop.signal).then(
      () => 'stopped',
      (error: unknown) => error,
    );
  }

  /** Resolves when its first socket is open on its side, too. */
  async online(): Promise<void> {
    await expectSoon('the first socket', this.#online.promise);
  }

  warnings(): string[] {
    return this.log.filter(({ level }) => level === 'warn').map(({ problem = '' }) => problem);
  }

  stop(): void {
    this.#stop.abort(new Error('The test stops it.'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await expectSoon('the end of the loop', this.ended);
    await this.server.close();
  }
}

/** A client over the sockets that the registry gets, one after the other. */
export async function clientThrough(
  registry: RecordedRegistry,
  options: ConnectOptions = {},
): Promise<ExecClient> {
  return ExecClient.connect({ dial: async () => (await registry.socket()).transport() }, options);
}
