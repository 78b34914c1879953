import type { MountPlan } from './mounts.ts';

/** Device files that every program may use; a write to them changes nothing on the host. */
export const deviceFiles = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'ptmx', 'pts'].map(
  (name) => `/dev/${name}`,
);

export interface BubblewrapOptions {
  readonly plan: MountPlan;
  readonly ownProc: boolean;
  readonly networkCut: boolean;
  /** Shared memory of its own. Without it nothing can be written that would be lost. */
  readonly sharedMemory: boolean;
  /** How a mount names its source: a descriptor opened for it, so that no name is looked up twice. */
  readonly source: (path: Buffer) => string;
  /** Where the child finds its terminal, which then has the name /dev/console inside. */
  readonly terminal: string | undefined;
  /** An empty file that nobody may open. */
  readonly deniedFile: string;
  /** What is denied whatever the profile says; a directory that is there. */
  readonly hidden: readonly Buffer[];
}

/** The arguments of bubblewrap for a plan, each a string of bytes. Parents are mounted before what is in them; what must not change is made read-only last. */
export function bubblewrapArguments(options: BubblewrapOptions): Buffer[] {
  const { plan, ownProc, networkCut } = options;
  const args: (string | Buffer)[] = [
    '--unshare-user',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
  ];
  if (ownProc) args.push('--unshare-pid', '--as-pid-1');
  if (networkCut) args.push('--unshare-net');
  args.push('--die-with-parent', '--cap-drop', 'ALL', '--chdir', '/');
  const readOnly: (string | Buffer)[] = [];
  if (plan.base === 'none') {
    args.push('--tmpfs', '/');
    readOnly.push('/');
  } else args.push(plan.base === 'write' ? '--bind' : '--ro-bind', '/', '/');
  args.push('--dev', '/dev');
  if (options.sharedMemory) args.push('--perms', '1777', '--tmpfs', '/dev/shm');
  // The kernel finds the name of a terminal by looking for it.
  if (options.terminal !== undefined) args.push('--dev-bind', options.terminal, '/dev/console');
  readOnly.push('/dev');
  if (ownProc) {
    args.push('--proc', '/proc');
    readOnly.push('/proc');
  } else args.push('--ro-bind', '/proc', '/proc');
  const maskDirectory = (path: Buffer, traversable: boolean): void => {
    args.push('--perms', traversable ? '111' : '000', '--tmpfs', path);
    readOnly.push(path);
  };
  for (const mount of plan.mounts) {
    switch (mount.kind) {
      case 'bind':
        args.push(mount.writable ? '--bind' : '--ro-bind', options.source(mount.path), mount.path);
        break;
      case 'maskDirectory':
        maskDirectory(mount.path, mount.traversable);
        break;
      case 'maskFile':
        args.push('--ro-bind', options.deniedFile, mount.path);
        break;
      case 'link':
        args.push('--symlink', mount.target, mount.path);
        break;
    }
  }
  for (const path of options.hidden) maskDirectory(path, false);
  for (const path of readOnly) args.push('--remount-ro', path);
  return args.map((arg) => (typeof arg === 'string' ? Buffer.from(arg) : arg));
}
