import { mkdir, realpath } from 'node:fs/promises';
import path from 'node:path';

import { TreeWatch } from '../../src/file-system/tree-watch.ts';
import type { WatchReport } from '../../src/protocol/watch.ts';
import { type TemporaryFolder, temporaryFolder } from './unit-folder.ts';
import { expectSoon } from './unit-wait.ts';

export interface RecorderOptions {
  readonly recursive?: boolean;
  readonly exclude?: readonly string[];
  /** Runs in the folder of the root before it is watched. */
  readonly prepare?: (root: string) => Promise<void> | void;
}

/** A watch of a folder of its own, with everything that it has told. */
export class WatchRecorder implements AsyncDisposable {
  readonly watch: TreeWatch;
  readonly root: string;
  readonly reports: WatchReport[] = [];
  /** The connection takes reports. */
  taking = true;
  endings = 0;
  readonly #folder: TemporaryFolder;
  #changed = Promise.withResolvers<void>();

  private constructor(folder: TemporaryFolder, root: string, options: RecorderOptions) {
    this.#folder = folder;
    this.root = root;
    this.watch = new TreeWatch({
      root: { bytes: Buffer.from(root), form: 'plain' },
      recursive: options.recursive ?? true,
      exclude: options.exclude ?? [],
      send: (report) => {
        this.reports.push(report);
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
      },
      canSend: () => this.taking,
      onEnded: () => {
        this.endings += 1;
      },
    });
  }

  /** Not open yet. */
  static async create(options: RecorderOptions = {}): Promise<WatchRecorder> {
    const folder = await temporaryFolder();
    const root = path.join(await realpath(folder.path), 'root');
    await mkdir(root);
    await options.prepare?.(root);
    return new WatchRecorder(folder, root, options);
  }

  static async open(options: RecorderOptions = {}): Promise<WatchRecorder> {
    const recorder = await WatchRecorder.create(options);
    try {
      await recorder.watch.open();
      recorder.watch.start();
      return recorder;
    } catch (error) {
      await recorder[Symbol.asyncDispose]();
      throw error;
    }
  }

  at(...names: string[]): string {
    return path.join(this.root, ...names);
  }

  /** Each change as `created a/f`. */
  get told(): string[] {
    return this.reports.flatMap(({ changes }) =>
      changes.map((change) => `${change.kind} ${path.relative(this.root, change.path)}`),
    );
  }

  get resyncs(): WatchReport[] {
    return this.reports.filter(({ resync }) => resync === true);
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    while (!condition())
      await expectSoon(`${what}; told was ${this.told.slice(-9).join()}`, this.#changed.promise);
  }

  async tells(text: string): Promise<void> {
    await this.until(text, () => this.told.includes(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch.dispose();
    await this.#folder[Symbol.asyncDispose]();
  }
}
