/** Programs that hold confined processes with a network, by pid: what they started is below them in the process tree. */
const roots = new Set<number>();

export function addConfinedRoot(pid: number): void {
  roots.add(pid);
}

export function removeConfinedRoot(pid: number): void {
  roots.delete(pid);
}

export function confinedRoots(): ReadonlySet<number> {
  return roots;
}
