import { readFile, readdir } from 'node:fs/promises';
import type { Survivor } from '../protocol/process.ts';

/**
 * The living processes of the terminal session that a process leads, the leader excepted: its group, and the groups that a shell has
 * made for its jobs. A process that has called setsid is in no session of ours. Empty where there is no /proc.
 */
export async function sessionMembers(leader: number): Promise<Survivor[]> {
  const names = await readdir('/proc').catch(() => []);
  const members = await Promise.all(
    names.filter((name) => /^\d+$/.test(name)).map((pid) => readMember(pid, leader)),
  );
  return members.filter((member) => member !== undefined);
}

async function readMember(pid: string, leader: number): Promise<Survivor | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // The name is in parentheses and may hold any character: what follows the last one is regular (proc_pid_stat(5)).
  const nameEnd = stat.lastIndexOf(')');
  const [state, , , session] = stat.slice(nameEnd + 2).split(' ');
  if (Number(session) !== leader || Number(pid) === leader || state === 'Z' || state === 'X')
    return undefined;
  return { pid: Number(pid), name: stat.slice(stat.indexOf('(') + 1, nameEnd) };
}

export function killMember(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
