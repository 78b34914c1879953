import { writeFileSync } from 'node:fs';
import { readFile, readdir, readlink } from 'node:fs/promises';
import path from 'node:path';

import type { WireClient } from './conformance-wire.ts';
import type { WatchReport, WireChange } from '../../src/protocol/watch.ts';

let fences = 0;

/** What one watch has told a client. Throws when a report is missing or comes twice. */
export class WatchView {
  readonly client: WireClient;
  readonly id: string;
  /** What stands before each path that is told. */
  readonly root: string;
  readonly #reports: WatchReport[] = [];
  #read = 0;

  constructor(client: WireClient, id: string, root: string) {
    this.client = client;
    this.id = id;
    this.root = root;
  }

  get reports(): readonly WatchReport[] {
    for (; this.#read < this.client.texts.length; this.#read++) {
      const text = this.client.texts[this.#read] ?? '';
      if (!text.startsWith('{"method":"fs/changed"')) continue;
      const { watchId, ...report } = (JSON.parse(text) as { params: WatchReport & { watchId: string } })
        .params;
      if (watchId !== this.id) continue;
      if (report.cursor !== this.#reports.length + 1)
        throw new Error(`Report ${report.cursor} comes after ${this.#reports.length}.`);
      this.#reports.push(report);
    }
    return this.#reports;
  }

  get changes(): WireChange[] {
    return this.reports.flatMap((report) => report.changes);
  }

  /** Each change as `created a/f` or `removed a/`, without those that say nothing new: two that are equal, and modified after created. */
  get told(): string[] {
    const last = new Map<string, string>();
    const told: string[] = [];
    for (const change of this.changes) {
      const name = this.#relative(change);
      const before = last.get(name);
      if (before === change.kind || (before === 'created' && change.kind === 'modified')) continue;
      last.set(name, change.kind);
      if (!name.startsWith('.fence')) told.push(`${change.kind} ${name}`);
    }
    return told;
  }

  /** Resolves when this was told, in the words of `told`. */
  async tells(text: string): Promise<void> {
    await this.client.waitFor(`${text} of ${this.id}; told was ${this.told.slice(-20).join()}`, () =>
      this.told.includes(text) ? true : undefined,
    );
  }

  async report(what: string, matches: (report: WatchReport) => boolean): Promise<WatchReport> {
    return this.client.waitFor(`${what} of ${this.id}`, () => this.reports.find(matches));
  }

  /** Resolves when everything that has happened in watched directories is told. `write` makes a file of this name in the root. */
  async fence(write: (name: string) => Promise<void>): Promise<void> {
    const name = `.fence-${++fences}`;
    await write(name);
    await this.client.waitFor(`the file ${name} in ${this.id}`, () =>
      this.changes.some((change) => change.path.endsWith(`/${name}`)) ? true : undefined,
    );
  }

  #relative({ path, isDirectory }: WireChange): string {
    const slash = isDirectory ? '/' : '';
    if (path === this.root || path.startsWith(`${this.root}/`))
      return path.slice(this.root.length + 1) + slash;
    // What is no UTF-8 is told as a URI.
    if (path.startsWith('file:')) return path + slash;
    throw new Error(`${path} is not below ${this.root}.`);
  }
}

/** The watches on all inotify descriptors of a process; undefined where it has no such descriptor. */
export async function kernelWatches(pid: number | string): Promise<number | undefined> {
  let count: number | undefined;
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    if (link !== 'anon_inode:inotify') continue;
    const info = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => '');
    count = (count ?? 0) + (info.match(/^inotify wd:/gm)?.length ?? 0);
  }
  return count;
}

/** Makes more events than the kernel keeps for a watch (16,384, unless it was told otherwise), of few files. */
export function overflow(root: string): void {
  for (let index = 0; index < 12_000; index++) writeFileSync(path.join(root, `burst${index % 100}`), 'x');
}
