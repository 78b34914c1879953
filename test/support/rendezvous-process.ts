import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { within } from './faults-proc.ts';

const repository = path.resolve(import.meta.dirname, '..', '..');
const main = path.join(repository, 'src', 'main.ts');
const startMs = 30_000;
const exitMs = 20_000;

export interface ServiceOptions {
  /** Survives its end. */
  readonly data?: boolean;
  readonly args?: readonly string[];
}

/** A rendezvous as a process of its own, with a token for executors and one for orchestrators. */
export class TestRendezvous implements AsyncDisposable {
  readonly folder: string;
  readonly executorTokenFile: string;
  readonly token = randomBytes(24).toString('base64url');
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #errors = '';
  url = '';

  private constructor(folder: string, { data = false, args = [] }: ServiceOptions) {
    this.folder = folder;
    this.executorTokenFile = path.join(folder, 'executor-token');
    const tokens = ['--tokens', path.join(folder, 'tokens.json')];
    // Tests connect more often than a client does.
    const limits = ['--limit', 'environmentBurst=100000'];
    this.#args = [
      ...tokens,
      ...limits,
      ...(data ? ['--data', path.join(folder, 'data.sqlite')] : []),
      ...args,
    ];
  }

  /** Of its process. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  static async start(options: ServiceOptions = {}): Promise<TestRendezvous> {
    const folder = await mkdtemp(path.join(tmpdir(), 'exec-rendezvous-'));
    const rendezvous = new TestRendezvous(folder, options);
    const executorToken = randomBytes(24).toString('base64url');
    const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
    const tokens = [
      { sha256: digest(executorToken), subject: 'executors', roles: ['executor'] },
      { sha256: digest(rendezvous.token), subject: 'orchestrators', roles: ['orchestrator'] },
    ];
    await writeFile(rendezvous.executorTokenFile, `${executorToken}\n`, { mode: 0o600 });
    await writeFile(path.join(folder, 'tokens.json'), JSON.stringify({ tokens }), { mode: 0o600 });
    await rendezvous.launch('http://127.0.0.1:0');
    return rendezvous;
  }

  /** Starts it again, at the same port. */
  async restart(): Promise<void> {
    await this.launch(this.url);
  }

  async launch(listen: string): Promise<void> {
    const child = spawn(process.execPath, [main, 'rendezvous', '--listen', listen, ...this.#args], {
      cwd: this.folder,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => void (this.#errors += text));
    const line = new Promise<string>((resolve, reject) => {
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.includes('\n')) resolve(output.slice(0, output.indexOf('\n')));
      });
      child.once('exit', (code) => reject(new Error(`The rendezvous ended with ${code}: ${this.#errors}`)));
    });
    this.url = await within(startMs, 'the URL of the rendezvous', line);
  }

  /** The streams that it knows of an environment. */
  async streams(environmentId: string): Promise<number | undefined> {
    const answer = await fetch(`${this.url}/v1/environments`, {
      headers: { authorization: `Bearer ${this.token}` },
    });
    const { environments } = (await answer.json()) as { environments: { id: string; streams: number }[] };
    return environments.find(({ id }) => id === environmentId)?.streams;
  }

  /** As a crash does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await within(exitMs, 'the end of the rendezvous', exited);
    this.#child = undefined;
  }

  /** As an operator does. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await within(exitMs, 'the end of the rendezvous', exited).finally(() => child.kill('SIGKILL'));
    if (child.exitCode !== 0)
      throw new Error(`The rendezvous ended with ${child.exitCode ?? child.signalCode}: ${this.#errors}`);
    const wrong = this.#errors
      .split('\n')
      .filter((text) => text !== '' && !/^{"level":"(?:info|warn)"/.test(text));
    if (wrong.length > 0) throw new Error(`The rendezvous has logged errors: ${wrong.join('\n')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } finally {
      await rm(this.folder, { recursive: true, force: true });
    }
  }
}
