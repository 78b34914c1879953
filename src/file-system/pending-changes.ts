import { limits } from '../protocol/limits.ts';
import type { ChangeKind } from '../protocol/watch.ts';

/** `path`: below the root, its bytes as latin1; empty for the root itself. */
export interface Change {
  readonly path: string;
  readonly kind: ChangeKind;
  readonly isDirectory: boolean;
}

/** What is known of one path: that something went away, and what is there after it. */
interface Pending {
  readonly removed: Change | undefined;
  readonly now: Change | undefined;
}

interface Place {
  readonly name: string;
  readonly parent: Place | undefined;
  readonly path: string;
  readonly below: Map<string, Place>;
  pending: Pending | undefined;
}

/** Bytes that a change takes beyond its path: roughly. */
const overhead = 64;

/**
 * Changes that wait to be sent, merged for each path, in an order in which they can be applied. Bounded.
 *
 * A path that was created and removed again stays as removed: the client may have listed the directory in between, and would keep what it
 * saw there for ever.
 */
export class PendingChanges {
  #root = place(undefined, '');
  readonly #order = new Set<Place>();
  #bytes = 0;

  get size(): number {
    return this.#order.size;
  }

  /** Answers whether there was room. */
  record(path: string, kind: ChangeKind, isDirectory: boolean): boolean {
    const at = this.#find(path);
    const before = at.pending;
    const change: Change = { path, kind, isDirectory };
    if (kind === 'removed') {
      this.#drop(at);
      this.#put(at, { removed: before?.removed ?? change, now: undefined });
    } else if (before === undefined) {
      this.#put(at, { removed: undefined, now: change });
    } else if (kind === 'created') {
      // At its place: changes below it may follow already.
      at.pending = { removed: before.removed, now: change };
    }
    // What else is told as modified was created or modified before, or is gone and only still open somewhere.
    return this.size <= limits.watchPendingChanges && this.#bytes <= limits.watchPendingBytes;
  }

  /** The oldest ones, as many as one report takes. */
  next(): Change[] {
    const changes: Change[] = [];
    let bytes = 0;
    for (const at of this.#order) {
      const { removed, now } = at.pending ?? {};
      if (removed !== undefined) changes.push(removed);
      if (now !== undefined) changes.push(now);
      bytes += at.path.length;
      this.#take(at);
      if (changes.length + 1 >= limits.watchReportChanges || bytes >= limits.watchReportBytes) break;
    }
    return changes;
  }

  clear(): void {
    this.#root = place(undefined, '');
    this.#order.clear();
    this.#bytes = 0;
  }

  #find(path: string): Place {
    let at = this.#root;
    if (path === '') return at;
    for (const name of path.split('/')) {
      const next = at.below.get(name) ?? place(at, name);
      at.below.set(name, next);
      at = next;
    }
    return at;
  }

  #put(at: Place, pending: Pending): void {
    at.pending = pending;
    this.#order.add(at);
    this.#bytes += at.path.length + overhead;
  }

  /** And the places above that stand for nothing else any more. */
  #take(at: Place): void {
    this.#forget(at);
    for (let empty = at; empty.parent !== undefined; empty = empty.parent) {
      if (empty.pending !== undefined || empty.below.size > 0) return;
      empty.parent.below.delete(empty.name);
    }
  }

  /** The place itself and everything below it, which stay reachable from the caller only. */
  #drop(top: Place): void {
    const left = [top];
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      this.#forget(at);
      left.push(...at.below.values());
    }
    top.below.clear();
  }

  #forget(at: Place): void {
    at.pending = undefined;
    if (this.#order.delete(at)) this.#bytes -= at.path.length + overhead;
  }
}

function place(parent: Place | undefined, name: string): Place {
  const path = parent === undefined || parent.path === '' ? name : `${parent.path}/${name}`;
  return { name, parent, path, below: new Map(), pending: undefined };
}
