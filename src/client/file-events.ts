import { randomUUID } from 'node:crypto';
import { ByteStreams } from './byte-streams.ts';
import type { Call } from './call.ts';
import type { Receivers } from './notifications.ts';
import { RemoteSearches } from './remote-search.ts';
import { RemoteWatch } from './remote-watch.ts';

/** What of a connection's notifications is about files: streams, searches, watches. */
export class FileEvents {
  readonly streams: ByteStreams;
  readonly searches: RemoteSearches;
  readonly receivers: Pick<
    Receivers,
    Exclude<keyof Receivers, `${'process' | 'environment' | 'http'}/${string}`>
  >;
  readonly #call: Call;
  readonly #watches = new Map<string, RemoteWatch>();

  constructor(call: Call) {
    this.#call = call;
    this.streams = new ByteStreams(call);
    this.searches = new RemoteSearches(call);
    this.receivers = {
      'stream/data': (event) => this.streams.receive({ kind: 'data', ...event }),
      'stream/end': (event) => this.streams.receive({ kind: 'end', ...event }),
      'stream/error': (event) => this.streams.receive({ kind: 'error', ...event }),
      'fs/matches': (event) => this.searches.receive(event),
      'fs/changed': (event) => {
        if (this.#watches.get(event.watchId)?.receive(event) === false) this.#watches.delete(event.watchId);
      },
      // The application calls fs/watchMissing itself, if at all.
      'fs/missingChanged': () => {},
    };
  }

  async watch(params: Parameters<RemoteWatch['open']>[0]): Promise<RemoteWatch> {
    const watch = new RemoteWatch(randomUUID(), this.#call);
    // Before the request: the first report may come with its answer.
    this.#watches.set(watch.id, watch);
    try {
      await watch.open(params);
      return watch;
    } catch (error) {
      this.#watches.delete(watch.id);
      throw error;
    }
  }

  /** No further notification will come: the connection is gone. */
  fail(error: Error): void {
    this.streams.fail(error);
    for (const watch of this.#watches.values()) watch.fail(error);
    this.#watches.clear();
  }
}
