import type { Access } from '../protocol/permission-profile.ts';
import type { ResolvedSandbox, RestrictedFileSystem, Rule } from './rules.ts';

export interface Verdict {
  readonly access: Access;
  /** The rule that decides; undefined where nothing is confined, and where no rule is about the path. */
  readonly rule: Rule | undefined;
}

/** Devices that every program may count on, and that nothing leaves by. */
export const commonDevices = [
  '/dev/null',
  '/dev/zero',
  '/dev/full',
  '/dev/random',
  '/dev/urandom',
  '/dev/tty',
] as const;

const deviceRules: readonly Rule[] = commonDevices.map((device) => {
  const path = Buffer.from(device);
  return {
    path,
    place: path,
    access: 'write',
    source: 'device of every sandbox',
    kind: 'other',
    identity: undefined,
    firstMissing: undefined,
    protectedMetadata: false,
    aliases: [],
  };
});

/** What a path may be used for. It is absolute and canonical: without links and dots, except that its last part may be a link that is meant itself. */
export function decide(sandbox: ResolvedSandbox, path: Buffer): Verdict {
  if (sandbox.fileSystem.kind === 'unrestricted') return { access: 'write', rule: undefined };
  const rule = nearestRule(sandbox.fileSystem.rules, path);
  const device = deviceRules.find((device) => device.path.equals(path));
  if (device !== undefined && !rule?.place.equals(path)) return { access: 'write', rule: device };
  return { access: rule?.access ?? 'none', rule };
}

/** Rules by their place. A profile can have thousands, and every path is looked up in them. */
const indexes = new WeakMap<readonly Rule[], ReadonlyMap<string, Rule>>();

/** The rule with the longest place that is the path or contains it. The list must not change any more. */
export function nearestRule(rules: readonly Rule[], path: Buffer): Rule | undefined {
  const index = indexes.get(rules) ?? indexOf(rules);
  indexes.set(rules, index);
  let place = path.toString('latin1');
  for (let slash = place.lastIndexOf('/'); slash > 0; slash = place.lastIndexOf('/')) {
    const rule = index.get(place);
    if (rule !== undefined) return rule;
    place = place.slice(0, slash);
  }
  return index.get(place) ?? index.get('/');
}

function indexOf(rules: readonly Rule[]): Map<string, Rule> {
  const index = new Map<string, Rule>();
  for (const rule of rules) {
    const place = rule.place.toString('latin1');
    const other = index.get(place);
    if (other === undefined || strength[rule.access] > strength[other.access]) index.set(place, rule);
  }
  return index;
}

/** Which of several accesses counts for one path. */
export const strength: Readonly<Record<Access, number>> = { read: 0, write: 1, none: 2 };

/** No path at all is narrowed: files need no sandbox. */
export function canWriteEverything(sandbox: ResolvedSandbox): boolean {
  return sandbox.fileSystem.kind === 'unrestricted';
}

/** Every path is readable, and stays so: a profile with a denial is none of these, even where what it denies is not there. */
export function canReadEverything(sandbox: ResolvedSandbox): boolean {
  const { fileSystem } = sandbox;
  if (fileSystem.kind === 'unrestricted') return true;
  return (
    !fileSystem.denies && fileSystem.rules.some(({ path, access }) => path.length === 1 && access !== 'none')
  );
}

export function readableRoots(fileSystem: RestrictedFileSystem): readonly Rule[] {
  return fileSystem.rules.filter(({ access }) => access !== 'none');
}

export function writableRoots(fileSystem: RestrictedFileSystem): readonly Rule[] {
  return fileSystem.rules.filter(({ access }) => access === 'write');
}

/** A denial of the whole tree only takes the baseline away. */
export function unreadableRoots(fileSystem: RestrictedFileSystem): readonly Rule[] {
  return fileSystem.rules.filter(({ access, path }) => access === 'none' && path.length > 1);
}
