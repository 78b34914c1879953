/** What a worker is told at its start, as its only argument. */
export interface WorkerOptions {
  /** Directories that are there for the sandbox only. */
  readonly unseen: readonly Buffer[];
  /** The path of the program; undefined where there is none. */
  readonly ripgrep: string | undefined;
}

export function writeWorkerOptions({ unseen, ripgrep }: WorkerOptions): string {
  return JSON.stringify({ unseen: unseen.map((path) => path.toString('base64')), ripgrep });
}

export function readWorkerOptions(text: string): WorkerOptions {
  const { unseen, ripgrep } = JSON.parse(text) as { unseen: string[]; ripgrep?: string };
  return { unseen: unseen.map((path) => Buffer.from(path, 'base64')), ripgrep };
}

/** What a worker says first. */
export const workerRuns = 'worker/runs';
