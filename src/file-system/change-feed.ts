import { limits } from '../protocol/limits.ts';
import { type EnvironmentPath, showPath } from '../protocol/path.ts';
import type { ChangeKind, EndReason, ResyncReason, WatchReport, WireChange } from '../protocol/watch.ts';
import { joinPath } from '../disk/folder.ts';
import { type Change, PendingChanges } from './pending-changes.ts';

/** Where a watch tells what it has seen. */
export interface ReportTarget {
  send(report: WatchReport): void;
  /** Whether the connection takes more now. */
  canSend(): boolean;
}

export interface ChangeFeedOptions extends ReportTarget {
  /** What the client calls the root; every path that it is told is below it. */
  readonly root: EnvironmentPath;
  /** Whether a resync has to wait, after so many milliseconds since the loss, because the tree is not completely watched. */
  holdsResync(milliseconds: number): boolean;
}

/**
 * The reports of one watch: changes, collected over a short time and sent as fast as the connection takes them, or the word that some are
 * lost. Numbers them without a gap.
 */
export class ChangeFeed {
  readonly #options: ChangeFeedOptions;
  readonly #pending = new PendingChanges();
  #lost: { readonly reason: ResyncReason; readonly since: number } | undefined;
  #cursor = 0;
  #timer: NodeJS.Timeout | undefined;
  #state: 'waiting' | 'telling' | 'done' = 'waiting';

  constructor(options: ChangeFeedOptions) {
    this.#options = options;
  }

  /** From now on the client is told. What came before, it sees when it lists the tree. */
  start(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'telling';
    this.#pending.clear();
    if (!this.#options.holdsResync(0)) this.#lost = undefined;
    if (this.#lost !== undefined) this.#arm();
  }

  /** `path`: below the root, its bytes as latin1; empty for the root itself. */
  record(path: string, kind: ChangeKind, isDirectory: boolean): void {
    if (this.#lost !== undefined) return;
    if (this.#pending.record(path, kind, isDirectory)) this.#arm();
    else this.lose('backlog');
  }

  /** Changes are missing: what waits is of no use any more. */
  lose(reason: ResyncReason): void {
    this.#pending.clear();
    this.#lost ??= { reason, since: performance.now() };
    this.#arm();
  }

  /** The last report, at once. */
  end(reason: EndReason, message: string | undefined): void {
    if (this.#state === 'telling')
      this.#send({
        changes: [],
        resync: true,
        ended: true,
        reason,
        ...(message !== undefined && { message }),
      });
    this.dispose();
  }

  dispose(): void {
    this.#state = 'done';
    clearTimeout(this.#timer);
    this.#pending.clear();
  }

  #arm(): void {
    if (this.#state !== 'telling') return;
    this.#timer ??= setTimeout(() => this.#flush(), limits.watchWindowMs);
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#options.canSend()) {
      const lost = this.#lost;
      if (lost === undefined) this.#sendPending();
      else if (!this.#options.holdsResync(performance.now() - lost.since)) {
        this.#lost = undefined;
        this.#send({ changes: [], resync: true, reason: lost.reason });
      }
    }
    if (this.#lost !== undefined || this.#pending.size > 0) this.#arm();
  }

  #sendPending(): void {
    while (this.#pending.size > 0 && this.#options.canSend())
      this.#send({ changes: this.#pending.next().map((change) => this.#show(change)) });
  }

  #send(report: Omit<WatchReport, 'cursor'>): void {
    this.#cursor += 1;
    this.#options.send({ cursor: this.#cursor, ...report });
  }

  #show({ path, kind, isDirectory }: Change): WireChange {
    const { bytes, form } = this.#options.root;
    const whole = path === '' ? bytes : joinPath(bytes, Buffer.from(path, 'latin1'));
    return { path: showPath(whole, form), kind, ...(isDirectory && { isDirectory }) };
  }
}
