import type { WriteStream } from 'node:tty';
import type { TransferProgress } from '../client/exec-client.ts';

/** Milliseconds between two drawings. */
const redrawMs = 100;
const barWidth = 24;

export interface ProgressBar extends Disposable {
  show(progress: TransferProgress): void;
}

/** One line that is drawn over itself, on a terminal; nothing elsewhere. */
export function progressBar(output: Pick<WriteStream, 'isTTY' | 'write'>, name: string): ProgressBar {
  if (!output.isTTY) return { show() {}, [Symbol.dispose]() {} };
  const started = performance.now();
  let drawn = -Infinity;
  let latest: TransferProgress | undefined;
  const draw = (): void => {
    if (latest === undefined) return;
    const seconds = Math.max(0.001, (performance.now() - started) / 1000);
    output.write(`\r\x1b[K${describe(name, latest, latest.bytes / seconds)}`);
  };
  return {
    show: (progress) => {
      latest = progress;
      if (performance.now() - drawn < redrawMs) return;
      drawn = performance.now();
      draw();
    },
    [Symbol.dispose]: () => {
      draw();
      if (latest !== undefined) output.write('\n');
    },
  };
}

function describe(name: string, { bytes, total }: TransferProgress, rate: number): string {
  const speed = `${mebibytes(rate)}/s`;
  if (total === undefined) return `${name}  ${mebibytes(bytes)}  ${speed}`;
  const done = total === 0 ? 1 : Math.min(1, bytes / total);
  const filled = Math.round(done * barWidth);
  const bar = `${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}`;
  return `${name}  [${bar}] ${String(Math.floor(done * 100)).padStart(3)}%  ${mebibytes(bytes)}  ${speed}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
