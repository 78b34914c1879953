import { resolve } from 'node:path';
import { parsePath } from '../../protocol/path.ts';
import { type Base, BaseFile, noBase } from './base.ts';
import { type Compared, recallDigests, undecided } from './compare.ts';
import { carryOut } from './carry-out.ts';
import { nextBase } from './next-base.ts';
import {
  type SideName,
  type SyncOptions,
  type SyncPeer,
  type SyncResult,
  SyncConflictError,
} from './options.ts';
import { type Plan, makePlan } from './plan.ts';
import { collectRules } from './rules.ts';
import { type Side, openSides } from './sides.ts';

/**
 * Brings a directory of this machine and one of an environment into step, in one direction: only what has changed is moved, in one stream, and
 * compared with its source when it has arrived. What was changed on both sides is not overwritten. A run that ends in the middle leaves no
 * half of a file, and the next one goes on from what it finds.
 */
export async function syncDirectory(peer: SyncPeer, options: SyncOptions): Promise<SyncResult> {
  const { direction, state, signal } = options;
  const [local, remote] = [resolve(options.local), remotePath(options.remote)];
  signal?.throwIfAborted();
  await using file = state && (await BaseFile.open(state, local, remote));
  const base = (await file?.read()) ?? noBase;
  const sides = await openSides(peer, local, remote, options);
  const rules = await collectRules(peer, sides, options);
  const up = direction === 'up';
  const named = up
    ? { source: sides.local, target: sides.remote }
    : { source: sides.remote, target: sides.local };
  const follow = options.symlinks === 'follow';
  options.onProgress?.({ phase: 'compare', files: 0, filesTotal: 0, bytes: 0, bytesTotal: 0 });
  const compared = await compare(named, base, { up, rules, follow });
  if (compared.source.version === undefined)
    throw new Error(`${up ? local : remote} is not there: there is nothing to sync from.`);
  const hashed = {
    source: await decide(named.source, compared, 'source', follow),
    target: await decide(named.target, compared, 'target', false),
  };
  refuseLinks(compared, options);
  const plan = await makePlan(compared, options);
  if (options.onConflict === 'fail' && plan.conflicts.length > 0) throw new SyncConflictError(plan.conflicts);
  const about = {
    compared: { source: compared.source.entries.size, target: compared.target.entries.size },
    hashed,
  };
  if (options.dryRun === true) return { ...about, ...foreseen(plan, compared) };
  const work = await carryOut({ peer, ...sides, ...named, options, follow, compared, plan });
  // Also of a run that has failed: what it has done is known then.
  await file?.write(await nextBase(named, compared, plan, work));
  if (work.failure !== undefined) throw work.failure;
  return { ...about, ...work.result };
}

function remotePath(text: string): string {
  const parsed = parsePath(text);
  if ('problem' in parsed) throw new Error(`The remote directory ${parsed.problem}.`);
  return parsed.bytes.toString();
}

async function compare(
  { source, target }: Readonly<Record<SideName, Side>>,
  base: Base,
  {
    up,
    rules,
    follow,
  }: { readonly up: boolean; readonly rules: readonly string[]; readonly follow: boolean },
): Promise<Compared> {
  // The target's own links are what they are.
  const [one, other] = await Promise.all([source.list(rules, follow), target.list(rules, false)]);
  const compared = { source: one, target: other, base, up };
  recallDigests(compared);
  return compared;
}

/** Reads the files of a side whose content decides. Answers how many. */
async function decide(side: Side, compared: Compared, name: SideName, follow: boolean): Promise<number> {
  const names = undecided(compared, name);
  if (names.length === 0) return 0;
  const { entries, blocked } = compared[name];
  const described = await side.describe(names, follow);
  for (const path of names) {
    const entry = described.get(path);
    if (entry === undefined) entries.delete(path);
    else if (entry.problem !== undefined) blocked.push({ path, why: entry.problem });
    else if (entry.kind === 'file' && entry.sha256 === undefined)
      blocked.push({ path, why: 'It is being written to.' });
    else entries.set(path, entry);
  }
  return names.length;
}

function refuseLinks({ source }: Compared, { symlinks }: SyncOptions): void {
  if (symlinks !== 'refuse') return;
  const link = [...source.entries.values()].find(({ kind }) => kind === 'link');
  if (link === undefined) return;
  throw new Error(
    `${JSON.stringify(link.path)} is a symbolic link, and links were to be refused. Nothing was transferred.`,
  );
}

function foreseen(plan: Plan, { source }: Compared): Omit<SyncResult, 'compared' | 'hashed'> {
  const files = plan.transfer.flatMap((path) => {
    const entry = source.entries.get(path);
    return entry?.kind === 'file' ? [entry] : [];
  });
  return {
    sent: plan.transfer,
    sentFiles: files.length,
    sentBytes: files.reduce((sum, { size = 0 }) => sum + size, 0),
    deleted: [...plan.before, ...plan.deletes].map(({ path }) => path),
    modes: plan.modes.map(({ path }) => path),
    conflicts: plan.conflicts,
    kept: plan.kept,
    extra: plan.extra,
    skipped: plan.skipped,
    unsettled: [],
  };
}
