import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runLauncher } from '../../support/native-launcher.ts';
import { program, runPlainly } from '../../support/native-programs.ts';
import { temporaryFolder, type TemporaryFolder } from '../../support/unit-folder.ts';

const base = `mount umount2 pivot_root move_mount open_tree fsopen fsconfig fsmount fspick chroot setns io_uring_setup io_uring_enter
  io_uring_register keyctl add_key request_key bpf perf_event_open userfaultfd open_by_handle_at name_to_handle_at pidfd_getfd kcmp clone3!
  unshare-user unshare-time clone-user mknod-device tiocsti tiocsti-high tioclinux packet pair-packet vsock pair-vsock alg pair-alg bluetooth
  pair-bluetooth`;
const network = `connect bind listen accept accept4 getpeername getsockname shutdown sendto sendmmsg recvmmsg getsockopt setsockopt
  process_vm_readv process_vm_writev ptrace unix-datagram pair-unix-datagram inet pair-inet inet6 pair-inet6 netlink pair-netlink`;
const standalone =
  'shmget semget msgget mq_open file_setattr setflags btrfs-subvolume prlimit-other setpriority-other ioprio-other scheduler-other';
const machine = process.arch === 'x64' ? 'x32 ia32' : '';

const words = (...lists: readonly string[]): string[] =>
  lists
    .flatMap((list) => list.split(/\s+/))
    .filter((word) => word !== '')
    .toSorted();

describe('the filter of system calls', () => {
  let folder: TemporaryFolder;
  let path = '';
  beforeAll(async () => {
    folder = await temporaryFolder();
    path = await program('refused', folder.path);
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  const refused = async (...entries: (readonly [string, string])[]): Promise<string[]> =>
    words((await runLauncher({ way: 'alone', argv: [path], entries })).output);

  it('refuses what could leave the sandbox', async () => {
    // Otherwise the comparison would show what the host refuses anyway.
    expect(words(await runPlainly(path, [], '/'))).not.toContain('userfaultfd');
    expect(await refused(['seccomp', 'base'])).toStrictEqual(words(base, machine));
  });

  it('cuts the network off when it is told to', async () => {
    expect(await refused(['seccomp', 'network'])).toStrictEqual(words(base, network, machine));
  });

  it('refuses more where no namespaces are', async () => {
    expect(await refused(['landlock', '1'])).toStrictEqual(words(base, standalone, machine));
    expect(await refused(['landlock', '1'], ['seccomp', 'network'])).toStrictEqual(
      words(base, network, standalone, machine),
    );
  });
});
