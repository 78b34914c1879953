import { EnvironmentConfigError } from './environment-error.ts';
import type { EnvironmentEntry, EnvironmentSnapshot } from './provider.ts';

const idCharacters = 64;

/** This machine: made by the manager, never by a provider. */
export const localId = 'local';

/** Stands for no environment wherever an id can be. */
export function meansNone(id: string): boolean {
  return id.trim().toLowerCase() === 'none';
}

/** What is wrong with the id of an environment; undefined: nothing. */
export function idProblem(id: string): string | undefined {
  const shown = JSON.stringify(id.slice(0, idCharacters));
  if (id.trim() === '') return 'is empty; give the environment a name';
  if (id.trim() !== id) return `${shown} has blanks around it; remove them`;
  if (id === localId) return '"local" is this machine, which the manager adds itself; choose another id';
  if (meansNone(id)) return `${shown} stands for no environment; choose another id`;
  if (id.length > idCharacters) return `${shown}… has ${id.length} characters; ${idCharacters} are the most`;
  if (!/^[A-Za-z0-9_-]+$/.test(id))
    return `${shown} has other characters than ASCII letters, digits, "-" and "_"`;
  return undefined;
}

/** Something wrong in a snapshot. `entry`: the index of the environment that it is about; undefined: it is about the default. */
export interface SnapshotProblem {
  readonly entry: number | undefined;
  readonly key: 'id' | 'via' | 'default';
  readonly problem: string;
}

/** Everything that is wrong with what a provider says. */
export function snapshotProblems(snapshot: {
  readonly environments: readonly { readonly id: string; readonly via: string | undefined }[];
  readonly default: EnvironmentSnapshot['default'];
  readonly includeLocal: boolean;
}): SnapshotProblem[] {
  const { environments, includeLocal } = snapshot;
  const problems: SnapshotProblem[] = [];
  const known = new Map<string, { index: number; via: string | undefined }>();
  for (const [index, { id, via }] of environments.entries()) {
    const problem = idProblem(id);
    const before = known.get(id);
    if (problem !== undefined) problems.push({ entry: index, key: 'id', problem });
    else if (before !== undefined) {
      const text = `"${id}" is the id of another environment already; choose another one`;
      problems.push({ entry: index, key: 'id', problem: text });
    } else known.set(id, { index, via });
  }
  const isThere = (id: string): boolean => known.has(id) || (id === localId && includeLocal);
  for (const [id, { index, via }] of known) {
    const problem =
      via === undefined ? undefined : viaProblem(id, via, isThere, (one) => known.get(one)?.via);
    if (problem !== undefined) problems.push({ entry: index, key: 'via', problem });
  }
  if (snapshot.default.kind === 'environment') {
    const { id } = snapshot.default;
    const problem = defaultProblem(id, isThere);
    if (problem !== undefined) problems.push({ entry: undefined, key: 'default', problem });
  }
  return problems;
}

function defaultProblem(id: string, isThere: (id: string) => boolean): string | undefined {
  if (id.trim() === '') return 'is empty; name an environment, or "none"';
  if (isThere(id)) return undefined;
  if (id === localId) return '"local" is not included';
  return `no environment has the id ${JSON.stringify(id.slice(0, idCharacters))}`;
}

/** What is wrong with the environment that another one is reached through. */
export function viaProblem(
  id: string,
  via: string,
  isThere: (id: string) => boolean,
  viaOf: (id: string) => string | undefined,
): string | undefined {
  if (!isThere(via)) return `no environment has the id ${JSON.stringify(via.slice(0, idCharacters))}`;
  const road = [id];
  for (let next: string | undefined = via; next !== undefined; next = viaOf(next)) {
    road.push(next);
    if (next === id) return `leads back to itself: ${road.join(' → ')}`;
    // A circle that this one only leads to is told where it is.
    if (road.indexOf(next) < road.length - 1) return undefined;
  }
  return undefined;
}

/** Throws the first problem of a snapshot, by the place in the list where it is. */
export function checkSnapshot({ environments, default: chosen, includeLocal }: EnvironmentSnapshot): void {
  const listed = environments.map(({ id, source }) => ({ id, via: source.via }));
  const [first] = snapshotProblems({ environments: listed, default: chosen, includeLocal });
  if (first === undefined) return;
  const { entry, key, problem } = first;
  throw new EnvironmentConfigError(entry === undefined ? key : `environments[${entry}].${key}`, problem);
}

/** Throws what is wrong with one environment that is added. */
export function checkEntry({ id }: EnvironmentEntry): void {
  const problem = idProblem(id);
  if (problem !== undefined) throw new EnvironmentConfigError('id', problem);
}
