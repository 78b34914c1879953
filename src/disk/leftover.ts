import { randomUUID } from 'node:crypto';

/** The name of a file that is not whole yet. Whoever is killed before it is leaves it behind. */
export function leftoverName(): string {
  return `.exec-server-${randomUUID()}`;
}

/** Whether a name is such a one. */
export function isLeftover(name: string): boolean {
  return /^\.exec-server-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}
