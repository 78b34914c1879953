/** What the attempts share. Whatever the kernel refuses ends the script; only what has succeeded says so. */
export const preamble = `
import ctypes, errno, fcntl, mmap, os, platform, signal, socket, struct, sys, termios, threading, time
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == 'x86_64'
names = dict(ptrace=(101,117), unshare=(272,97), mount=(165,40), umount2=(166,39), pivot_root=(155,41), chroot=(161,51),
  setns=(308,268), open_tree=(428,428), move_mount=(429,429), fsopen=(430,430), mount_setattr=(442,442), clone=(56,220), clone3=(435,435),
  process_vm_readv=(310,270), process_vm_writev=(311,271), io_uring_setup=(425,425), pidfd_open=(434,434), pidfd_send_signal=(424,424),
  pidfd_getfd=(438,438), keyctl=(250,219), add_key=(248,217), bpf=(321,280), perf_event_open=(298,241), userfaultfd=(323,282),
  init_module=(175,105), finit_module=(313,273), kexec_load=(246,104), reboot=(169,142), swapon=(167,224), acct=(163,89),
  sethostname=(170,161), setdomainname=(171,162), name_to_handle_at=(303,264), open_by_handle_at=(304,265), quotactl=(179,60),
  settimeofday=(164,170), syslog=(103,116), shmget=(29,194), shmat=(30,196), mq_open=(240,180), memfd_create=(319,279),
  renameat2=(316,276), execveat=(322,281), fchmodat2=(452,452), prlimit=(302,261), sched_setaffinity=(203,122), kcmp=(312,272),
  capset=(126,91), setxattr=(188,5), iopl=(172,None), mknodat=(259,33), seccomp=(317,277), landlock_create=(444,444), vhangup=(153,58))
def call(name, *args):
    number = names[name][0 if x86 else 1]
    if number is None: raise OSError(errno.ENOSYS, name)
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0: raise OSError(ctypes.get_errno(), name)
    return result
W, OUT, VICTIM, PORT, UDP, ABSTRACT, SHM, SUID = (sys.argv + [''] * 8)[1:9]
VICTIM = int(VICTIM)
def put(path, text='escaped'):
    with open(path, 'r+' if os.path.exists(path) else 'w') as f: f.write(text)
def escaped(): print('ESCAPED')
`;

export interface Escape {
  readonly name: string;
  /** Python. Reaching `escaped()` is one; so is any trace in what the test looks at afterwards. */
  readonly script: string;
  /** On a PTY. */
  readonly tty?: true;
  /** Under a profile whose network is enabled, where nothing but this has to hold. */
  readonly network?: 'enabled';
}

/** Attempts to reach something outside of the grants of a workspace-write profile. */
export const escapes: readonly Escape[] = [
  // By another name of the place.
  { name: 'writes through /proc/self/root', script: `put(f'/proc/self/root{OUT}/file'); escaped()` },
  { name: 'writes through /proc/1/root', script: `put(f'/proc/1/root{OUT}/file'); escaped()` },
  {
    name: 'writes through the root of a process outside',
    script: `put(f'/proc/{VICTIM}/root{OUT}/file'); escaped()`,
  },
  {
    name: 'writes through the working directory of a process outside',
    script: `put(f'/proc/{VICTIM}/cwd/file'); escaped()`,
  },
  {
    name: 'writes through a descriptor of a process outside',
    script: `
for fd in range(0, 64):
    try:
        os.write(os.open(f'/proc/{VICTIM}/fd/{fd}', os.O_WRONLY), b'escaped'); escaped()
    except OSError: pass`,
  },
  {
    name: 'reads the variables of a process outside',
    script: `
if b'MARK_OF_THE_VICTIM' in open(f'/proc/{VICTIM}/environ', 'rb').read(): escaped()`,
  },
  {
    name: 'opens the memory of a process outside',
    script: `os.open(f'/proc/{VICTIM}/mem', os.O_RDWR); escaped()`,
  },
  { name: 'goes up with dots', script: `put(f'{W}/../outside/file'); escaped()` },
  {
    name: 'goes out through a link of its own',
    script: `os.symlink(OUT, f'{W}/link'); put(f'{W}/link/file'); escaped()`,
  },
  {
    name: 'creates through a dangling link',
    script: `os.symlink(f'{OUT}/new', f'{W}/dangling'); open(f'{W}/dangling', 'w'); escaped()`,
  },
  {
    name: 'swaps a directory for a link while it writes',
    script: `
os.mkdir(f'{W}/swap'); os.symlink(OUT, f'{W}/swapped')
def race():
    for _ in range(20000):
        try: call('renameat2', -100, f'{W}/swap'.encode(), -100, f'{W}/swapped'.encode(), 2)
        except OSError: pass
thread = threading.Thread(target=race); thread.start()
while thread.is_alive():
    for name in ('file', 'new'):
        try: put(f'{W}/swap/{name}')
        except OSError: pass
`,
  },
  {
    name: 'swaps the last part for a link while it opens',
    script: `
put(f'{W}/mine'); os.symlink(f'{OUT}/file', f'{W}/theirs')
def race():
    for _ in range(20000):
        try: call('renameat2', -100, f'{W}/mine'.encode(), -100, f'{W}/theirs'.encode(), 2)
        except OSError: pass
thread = threading.Thread(target=race); thread.start()
while thread.is_alive():
    try: os.close(os.open(f'{W}/mine', os.O_WRONLY | os.O_TRUNC))
    except OSError: pass
`,
  },
  // By another name of the file.
  {
    name: 'makes a hard link to a file outside',
    script: `os.link(f'{OUT}/file', f'{W}/hard'); put(f'{W}/hard'); escaped()`,
  },
  {
    name: 'makes a hard link to protected metadata',
    script: `os.link(f'{W}/.git/config', f'{W}/hard'); put(f'{W}/hard'); escaped()`,
  },
  {
    name: 'makes a hard link by descriptor',
    script: `
fd = os.open(f'{W}/.git/config', os.O_RDONLY); os.link(f'/proc/self/fd/{fd}', f'{W}/hard', follow_symlinks=True); put(f'{W}/hard'); escaped()`,
  },
  {
    name: 'opens a read-only descriptor again for writing',
    script: `
fd = os.open(f'{OUT}/file', os.O_RDONLY); os.write(os.open(f'/proc/self/fd/{fd}', os.O_WRONLY), b'escaped'); escaped()`,
  },
  {
    name: 'opens a protected descriptor again for writing',
    script: `
fd = os.open(f'{W}/.git/config', os.O_RDONLY); os.write(os.open(f'/dev/fd/{fd}', os.O_WRONLY), b'escaped'); escaped()`,
  },
  // By moving things.
  { name: 'renames protected metadata away', script: `os.rename(f'{W}/.git', f'{W}/moved'); escaped()` },
  {
    name: 'renames over protected metadata',
    script: `os.mkdir(f'{W}/fresh'); os.rename(f'{W}/fresh', f'{W}/.git'); escaped()`,
  },
  {
    name: 'exchanges protected metadata',
    script: `os.mkdir(f'{W}/fresh'); call('renameat2', -100, f'{W}/fresh'.encode(), -100, f'{W}/.git'.encode(), 2); escaped()`,
  },
  {
    name: 'renames what is above something denied',
    script: `os.rename(f'{W}/deep/er', f'{W}/deep/moved'); escaped()`,
  },
  {
    name: 'renames further above something denied',
    script: `os.rename(f'{W}/deep', f'{W}/moved'); escaped()`,
  },
  { name: 'moves a file out', script: `put(f'{W}/mine'); os.rename(f'{W}/mine', f'{OUT}/mine'); escaped()` },
  { name: 'moves a file in from outside', script: `os.rename(f'{OUT}/file', f'{W}/theirs'); escaped()` },
  { name: 'makes missing metadata', script: `os.mkdir(f'{W}/.codex/hooks'); escaped()` },
  { name: 'replaces missing metadata by a link', script: `os.symlink(OUT, f'{W}/.codex'); escaped()` },
  {
    name: 'removes what stands for missing metadata',
    script: `os.rmdir(f'{W}/.codex'); os.mkdir(f'{W}/.codex'); put(f'{W}/.codex/x'); escaped()`,
  },
  {
    name: 'writes into metadata by a name in other case and dots',
    script: `put(f'{W}/./x/.././.git/config'); escaped()`,
  },
  {
    name: 'makes a file without a name outside',
    script: `os.open(OUT, os.O_TMPFILE | os.O_RDWR); escaped()`,
  },
  { name: 'removes a file outside', script: `os.unlink(f'{OUT}/file'); escaped()` },
  { name: 'cuts a file outside', script: `os.truncate(f'{OUT}/file', 0); escaped()` },
  // Attributes.
  { name: 'changes the mode of a file outside', script: `os.chmod(f'{OUT}/file', 0o777); escaped()` },
  {
    name: 'changes the mode by a descriptor',
    script: `os.fchmod(os.open(f'{OUT}/file', os.O_RDONLY), 0o777); escaped()`,
  },
  {
    name: 'changes the mode by the newest call',
    script: `call('fchmodat2', -100, f'{OUT}/file'.encode(), 0o777, 0); escaped()`,
  },
  {
    name: 'changes the mode of protected metadata',
    script: `os.chmod(f'{W}/.git/config', 0o777); escaped()`,
  },
  {
    name: 'changes the owner of a file outside',
    script: `os.chown(f'{OUT}/file', os.getuid(), os.getgid()); escaped()`,
  },
  { name: 'changes the times of a file outside', script: `os.utime(f'{OUT}/file', (1, 1)); escaped()` },
  {
    name: 'sets an attribute of a file outside',
    script: `os.setxattr(f'{OUT}/file', 'user.mark', b'x'); escaped()`,
  },
  // Other tree, other names.
  {
    name: 'mounts over a directory outside',
    script: `call('mount', W.encode(), OUT.encode(), None, 4096, None); escaped()`,
  },
  {
    name: 'makes a read-only mount writable',
    script: `call('mount', None, OUT.encode(), None, 4096 | 32, None); escaped()`,
  },
  { name: 'takes a mask away', script: `call('umount2', f'{W}/deep/er/denied'.encode(), 2); escaped()` },
  {
    name: 'copies the tree with the newer mount calls',
    script: `call('open_tree', -100, b'/', 1); escaped()`,
  },
  {
    name: 'makes a file system with the newer mount calls',
    script: `call('fsopen', b'tmpfs', 0); escaped()`,
  },
  {
    name: 'changes a mount with the newer mount calls',
    script: `
a = struct.pack('QQQQ', 0, 1, 0, 0); call('mount_setattr', -100, OUT.encode(), 0, a, 32); escaped()`,
  },
  { name: 'makes a user namespace', script: `call('unshare', 0x10000000 | 0x20000); escaped()` },
  {
    name: 'makes a user namespace with a new process',
    script: `
pid = call('clone', 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
escaped()`,
  },
  {
    name: 'makes a user namespace with the newer clone',
    script: `
args = struct.pack('QQQQQQQQQQQ', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
pid = call('clone3', args, len(args))
if pid == 0: os._exit(0)
escaped()`,
  },
  {
    name: 'joins the mounts of a process outside',
    script: `call('setns', os.open(f'/proc/{VICTIM}/ns/mnt', os.O_RDONLY), 0); escaped()`,
  },
  { name: 'changes its root', script: `call('chroot', W.encode()); escaped()` },
  { name: 'exchanges the root', script: `call('pivot_root', W.encode(), W.encode()); escaped()` },
  {
    name: 'makes a control group',
    script: `
import glob
for base in ['/sys/fs/cgroup'] + glob.glob('/sys/fs/cgroup/*/'):
    try: os.mkdir(f'{base}/exec-server-escape'); escaped()
    except OSError: pass`,
  },
  // Other processes.
  { name: 'traces a process outside', script: `call('ptrace', 16, VICTIM, 0, 0); escaped()` },
  {
    name: 'writes into the memory of a process outside',
    script: `
b = ctypes.create_string_buffer(8); v = struct.pack('PN', ctypes.addressof(b), 8); call('process_vm_writev', VICTIM, v, 1, v, 1, 0); escaped()`,
  },
  {
    name: 'reads the memory of a process outside',
    script: `
b = ctypes.create_string_buffer(8); v = struct.pack('PN', ctypes.addressof(b), 8); call('process_vm_readv', VICTIM, v, 1, v, 1, 0); escaped()`,
  },
  { name: 'kills a process outside', script: `os.kill(VICTIM, signal.SIGKILL); escaped()` },
  {
    name: 'kills everything that it can',
    script: `
signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(-1, signal.SIGTERM)`,
  },
  {
    name: 'kills by a descriptor of a process',
    script: `call('pidfd_send_signal', call('pidfd_open', VICTIM, 0), 9, None, 0); escaped()`,
  },
  {
    name: 'takes a descriptor of a process',
    script: `call('pidfd_getfd', call('pidfd_open', VICTIM, 0), 1, 0); escaped()`,
  },
  {
    name: 'changes limits of a process outside',
    script: `call('prlimit', VICTIM, 7, struct.pack('QQ', 5, 5), None); escaped()`,
  },
  {
    name: 'changes the priority of a process outside',
    script: `os.setpriority(os.PRIO_PROCESS, VICTIM, 5); escaped()`,
  },
  { name: 'changes the priority of everything of its user', script: `os.setpriority(os.PRIO_USER, 0, 5)` },
  { name: 'ties a process outside to a processor', script: `os.sched_setaffinity(VICTIM, {0}); escaped()` },
  {
    name: 'has descriptors that it was not given',
    script: `
mine = os.listdir('/proc/self/fd')
if any(int(fd) > 2 and 'proc' not in os.readlink(f'/proc/self/fd/{fd}') for fd in mine if os.path.lexists(f'/proc/self/fd/{fd}')): escaped()`,
  },
  {
    name: 'speaks to its launcher',
    script: `
for pid in (os.getppid(), 1):
    for what in ('mem', 'fd/4'):
        try: os.open(f'/proc/{pid}/{what}', os.O_RDWR); escaped()
        except OSError: pass
    try: call('pidfd_getfd', call('pidfd_open', pid, 0), 4, 0); escaped()
    except OSError: pass`,
  },
  {
    name: 'takes capabilities back',
    script: `
h = struct.pack('Ii', 0x20080522, 0); d = struct.pack('IIIIII', 0xffffffff, 0xffffffff, 0, 0xffffffff, 0xffffffff, 0); call('capset', h, d); escaped()`,
  },
  {
    name: 'gains something by a setuid program',
    script: `
import subprocess
text = subprocess.run([SUID], capture_output=True, text=True).stdout
if 'euid=0' in text and os.getuid() != 0: escaped()
if os.getuid() == 0 and 'CapEff:\\t0000000000000000' not in open('/proc/self/status').read(): escaped()`,
  },
  {
    name: 'runs code from memory with more rights',
    script: `
fd = call('memfd_create', b'x', 0); os.write(fd, f'#!/bin/sh\\necho escaped > {OUT}/file && echo ESCAPED\\n'.encode())
os.set_inheritable(fd, True)
os.execve(fd, ['x'], {'PATH': '/usr/bin:/bin'})`,
  },
  // The kernel.
  { name: 'uses io_uring', script: `call('io_uring_setup', 1, ctypes.create_string_buffer(256)); escaped()` },
  {
    name: 'loads a program into the kernel',
    script: `call('bpf', 0, ctypes.create_string_buffer(128), 128); escaped()`,
  },
  {
    name: 'counts events of the kernel',
    script: `call('perf_event_open', ctypes.create_string_buffer(128), -1, 0, -1, 0); escaped()`,
  },
  { name: 'handles page faults', script: `call('userfaultfd', 0); escaped()` },
  {
    name: 'adds a key to the keyring of the user',
    script: `call('add_key', b'user', b'escape', b'x', 1, -4); escaped()`,
  },
  { name: 'loads a module', script: `call('init_module', b'', 0, b''); escaped()` },
  { name: 'restarts the machine', script: `call('reboot', 0xfee1dead, 672274793, 0, None); escaped()` },
  {
    name: 'sets the clock',
    script: `call('settimeofday', struct.pack('qq', int(time.time()), 0), None); escaped()`,
  },
  {
    name: 'reads the log of the kernel',
    script: `b = ctypes.create_string_buffer(16); call('syslog', 3, b, 16); escaped()`,
  },
  {
    name: 'opens a file by handle',
    script: `call('open_by_handle_at', 3, ctypes.create_string_buffer(64), 0); escaped()`,
  },
  { name: 'makes a device file', script: `os.mknod(f'{W}/device', 0o60666, os.makedev(8, 0)); escaped()` },
  {
    name: 'opens devices of the machine',
    script: `
for name in ('mem', 'kmsg', 'vda', 'sda', 'port', 'kvm', 'loop-control', 'fuse'):
    try: os.open(f'/dev/{name}', os.O_RDWR); escaped()
    except OSError: pass`,
  },
  {
    name: 'names a program for core dumps',
    script: `put('/proc/sys/kernel/core_pattern', 'core'); escaped()`,
  },
  { name: 'pulls the system request key', script: `put('/proc/sysrq-trigger', 'h'); escaped()` },
  { name: 'writes a setting of memory', script: `put('/proc/sys/vm/drop_caches', '1'); escaped()` },
  {
    name: 'writes a setting of the system',
    script: `put('/sys/kernel/mm/transparent_hugepage/enabled', 'madvise'); escaped()`,
  },
  {
    name: 'leaves an image of its memory',
    script: `
import resource
try: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (ValueError, OSError): pass
os.chdir(W); os.environ['MARK'] = 'x'; os.abort()`,
  },
  { name: 'renames the machine', script: `call('sethostname', b'escaped', 7)` },
  // Ways to talk.
  { name: 'types into a terminal', tty: true, script: `fcntl.ioctl(0, termios.TIOCSTI, b'x'); escaped()` },
  {
    name: 'types into a terminal with high bits set',
    tty: true,
    script: `
if libc.ioctl(0, ctypes.c_ulong(0x100000000 | termios.TIOCSTI), b'x') == 0: escaped()`,
  },
  { name: 'pastes into a console', tty: true, script: `fcntl.ioctl(0, 0x541C, b'\\x02'); escaped()` },
  {
    name: 'writes into a pipe with a name outside',
    script: `os.write(os.open(f'{OUT}/fifo', os.O_WRONLY | os.O_NONBLOCK), b'escaped'); escaped()`,
  },
  {
    name: 'connects to a socket outside',
    script: `s = socket.socket(socket.AF_UNIX); s.connect(f'{OUT}/stream'); escaped()`,
  },
  {
    name: 'sends to a socket outside',
    script: `s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'escaped', f'{OUT}/datagram'); escaped()`,
  },
  {
    name: 'sends a message to a socket outside',
    script: `a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendmsg([b'escaped'], [], 0, f'{OUT}/datagram'); escaped()`,
  },
  {
    name: 'connects to an abstract socket',
    script: `s = socket.socket(socket.AF_UNIX); s.connect(b'\\0' + ABSTRACT.encode()); escaped()`,
  },
  {
    name: 'connects over loopback',
    script: `socket.create_connection(('127.0.0.1', int(PORT)), 2); escaped()`,
  },
  {
    name: 'sends a packet over loopback',
    script: `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'escaped', ('127.0.0.1', int(UDP))); escaped()`,
  },
  { name: 'opens a raw socket', script: `socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); escaped()` },
  { name: 'opens a packet socket', script: `socket.socket(17, socket.SOCK_RAW, 0); escaped()` },
  { name: 'opens a netlink socket', script: `socket.socket(16, socket.SOCK_RAW, 0); escaped()` },
  {
    name: 'opens a socket to the host of the machine',
    script: `socket.socket(40, socket.SOCK_STREAM, 0); escaped()`,
  },
  {
    name: 'opens a socket to the cryptography of the kernel',
    script: `socket.socket(38, socket.SOCK_SEQPACKET, 0); escaped()`,
  },
  {
    name: 'opens a socket to the host with a network',
    network: 'enabled',
    script: `socket.socket(40, socket.SOCK_STREAM, 0); escaped()`,
  },
  {
    name: 'opens a socket to cryptography with a network',
    network: 'enabled',
    script: `socket.socket(38, socket.SOCK_SEQPACKET, 0); escaped()`,
  },
  {
    name: 'attaches shared memory of a process outside',
    script: `call('shmat', call('shmget', int(SHM), 4096, 0), None, 0); escaped()`,
  },
];
