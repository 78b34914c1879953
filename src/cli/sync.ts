import { join } from 'node:path';
import { ConfigError, ownVariables, stateHome } from '../config.ts';
import { syncDirectory } from '../environments/sync/sync.ts';
import type { SyncOptions, SyncProgress, SyncResult } from '../environments/sync/options.ts';
import { parseOperand } from './files.ts';
import { type ProgressBar, progressBar } from './progress.ts';
import { type TargetFlags, openTarget } from './target.ts';

export interface SyncFlags extends TargetFlags {
  readonly delete?: boolean;
  readonly deleteExtra?: boolean;
  readonly ignore?: readonly string[];
  readonly gitignore?: boolean;
  readonly links?: NonNullable<SyncOptions['symlinks']>;
  readonly onConflict?: 'keep' | 'source' | 'fail';
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Lines of one kind that are shown; the rest is counted. */
const shownLines = 20;

/** Brings a directory of this machine and one of the environment into step. Answers 1 where something was left that differs. */
export async function sync(from: string, to: string, flags: SyncFlags): Promise<number> {
  const [source, target] = [parseOperand(from), parseOperand(to)];
  if (source.side === target.side) {
    throw new ConfigError(
      'one of the two directories must be of the environment (env:/path), the other of this machine',
    );
  }
  const up = source.side === 'local';
  const [local, remote] = up ? [source.path, target.path] : [target.path, source.path];
  await using opened = await openTarget(flags);
  const stop = new AbortController();
  using _interrupt = onInterrupt(() => stop.abort(new Error('It was interrupted.')));
  using bar = progressBar(process.stderr, up ? 'up' : 'down');
  const result = await syncDirectory(opened.client, {
    local,
    remote,
    direction: up ? 'up' : 'down',
    delete: flags.deleteExtra === true ? 'extra' : flags.delete === true,
    ...(flags.ignore !== undefined && { ignore: flags.ignore }),
    ...(flags.gitignore === true && { ignoreFiles: ['.gitignore'] }),
    ...(flags.links !== undefined && { symlinks: flags.links }),
    ...(flags.onConflict !== undefined && { onConflict: flags.onConflict }),
    dryRun: flags.dryRun === true,
    state: { directory: join(stateHome(ownVariables()), 'sync'), environment: nameOf(flags) },
    signal: stop.signal,
    onProgress: (progress) => show(bar, progress),
  });
  process.stdout.write(flags.json === true ? `${JSON.stringify(result, null, 2)}\n` : report(result, flags));
  return result.conflicts.length + result.unsettled.length > 0 ? 1 : 0;
}

/** Which environment it is, from one run to the next. Only a digest of it is kept. */
function nameOf({ env, url, command, rendezvous, environmentId }: SyncFlags): string {
  return JSON.stringify({ env, url, command, rendezvous, environmentId });
}

function show(bar: ProgressBar, { phase, bytes, bytesTotal }: SyncProgress): void {
  if (phase !== 'compare') bar.show({ bytes, total: bytesTotal });
}

function report(result: SyncResult, { dryRun = false }: SyncFlags): string {
  const { sent, sentFiles, sentBytes, deleted, modes, kept, extra } = result;
  const would = dryRun ? 'would be ' : '';
  const lines = [
    ...listed('sent', dryRun ? sent : []),
    ...listed('deleted', dryRun ? deleted : []),
    ...listed(
      'conflict',
      result.conflicts.map(({ path, source, target }) => `${path} (source ${source}, target ${target})`),
    ),
    ...listed('kept, changed in the target alone', kept),
    ...listed(
      'left out',
      result.skipped.map(({ path, why }) => `${path}: ${why}`),
    ),
    ...listed(
      'not in step',
      result.unsettled.map(({ path, why }) => `${path}: ${why}`),
    ),
    `${sent.length} entries ${would}sent (${sentFiles} files, ${sentBytes} bytes), ${deleted.length} ${would}deleted, ${modes.length} modes ${would}set, ` +
      `${result.conflicts.length} conflicts, ${kept.length} kept, ${extra} only in the target`,
  ];
  return `${lines.join('\n')}\n`;
}

function listed(title: string, items: readonly string[]): string[] {
  const shown = items.slice(0, shownLines).map((item) => `${title}: ${JSON.stringify(item).slice(1, -1)}`);
  return items.length > shownLines ? [...shown, `${title}: ${items.length - shownLines} more`] : shown;
}

/** A second one ends it at once. */
function onInterrupt(work: () => void): Disposable {
  process.once('SIGINT', work);
  return { [Symbol.dispose]: () => void process.off('SIGINT', work) };
}
