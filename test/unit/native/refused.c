/* Makes system calls with senseless arguments, and prints those that the filter has refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BAD ((void *)-1)

static void plain(const char *name, long result) {
  if (result < 0 && (errno == EPERM || errno == ENOSYS)) printf("%s%s\n", name, errno == ENOSYS ? "!" : "");
}
#define CALL(name) plain(#name, syscall(SYS_##name, -1, -1, -1, -1, -1, -1))
#define TRY(text, ...) plain(text, syscall(__VA_ARGS__))

int main(void) {
  CALL(mount); CALL(umount2); CALL(pivot_root); CALL(move_mount); CALL(open_tree); CALL(fsopen); CALL(fsconfig); CALL(fsmount); CALL(fspick);
  CALL(chroot); CALL(setns); CALL(io_uring_setup); CALL(io_uring_enter); CALL(io_uring_register); CALL(keyctl); CALL(add_key);
  CALL(request_key); CALL(bpf); CALL(perf_event_open); CALL(userfaultfd); CALL(open_by_handle_at); CALL(name_to_handle_at); CALL(pidfd_getfd); CALL(kcmp);
  CALL(clone3); CALL(connect); CALL(bind); CALL(listen); CALL(accept); CALL(accept4); CALL(getpeername); CALL(getsockname); CALL(shutdown); CALL(sendto);
  CALL(sendmmsg); CALL(recvmmsg); CALL(getsockopt); CALL(setsockopt); CALL(sendmsg); CALL(recvmsg); CALL(recvfrom); CALL(process_vm_readv);
  CALL(process_vm_writev); CALL(shmget); CALL(semget); CALL(msgget); CALL(mq_open);
  TRY("ptrace", SYS_ptrace, 0x4206, -1, 0, 0);
  TRY("file_setattr", 469, -1, BAD, BAD, 0, 0);
  TRY("prlimit-other", SYS_prlimit64, getppid(), 7, 0, 0);
  TRY("prlimit-self", SYS_prlimit64, 0, 7, 0, 0);
  TRY("setpriority-other", SYS_setpriority, 0, 0x7fffffff, 0);
  TRY("setpriority-self", SYS_setpriority, 0, 0, 0);
  TRY("ioprio-other", SYS_ioprio_set, 1, 0x7fffffff, 0);
  TRY("scheduler-other", SYS_sched_setscheduler, 0x7fffffff, 0, BAD);
  TRY("unshare-user", SYS_unshare, CLONE_NEWUSER);
  TRY("unshare-time", SYS_unshare, 0x80);
  TRY("unshare-fs", SYS_unshare, CLONE_FS);
  TRY("clone-user", SYS_clone, CLONE_NEWUSER | CLONE_THREAD, 0, 0, 0, 0);
  TRY("clone-senseless", SYS_clone, CLONE_THREAD, 0, 0, 0, 0);
  TRY("mknod-device", SYS_mknodat, AT_FDCWD, "/nonexistent/x", S_IFCHR | 0666, 0x103);
  TRY("mknod-fifo", SYS_mknodat, AT_FDCWD, "/nonexistent/x", S_IFIFO | 0666, 0);
  TRY("tiocsti", SYS_ioctl, 0, TIOCSTI, "x");
  TRY("tiocsti-high", SYS_ioctl, 0, 0xffffffff00000000UL | TIOCSTI, "x");
  TRY("tioclinux", SYS_ioctl, 0, 0x541c, "x");
  TRY("setflags", SYS_ioctl, -1, 0x40086602, 0);
  TRY("getflags", SYS_ioctl, -1, 0x80086601, 0);
  TRY("btrfs-subvolume", SYS_ioctl, -1, 0x5000940e, 0);
  TRY("clone-range", SYS_ioctl, -1, 0x4020940d, 0);
  static const struct { const char *name; int family, type; } sockets[] = {
      {"unix-stream", AF_UNIX, SOCK_STREAM}, {"unix-packet", AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC}, {"unix-datagram", AF_UNIX, SOCK_DGRAM},
      {"inet", AF_INET, SOCK_STREAM}, {"inet6", AF_INET6, SOCK_DGRAM}, {"netlink", AF_NETLINK, SOCK_RAW}, {"packet", AF_PACKET, SOCK_RAW},
      {"vsock", 40, SOCK_STREAM}, {"alg", 38, SOCK_SEQPACKET}, {"bluetooth", 31, SOCK_RAW},
  };
  for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
    char name[32];
    int pair[2];
    plain(sockets[i].name, socket(sockets[i].family, sockets[i].type, 0));
    snprintf(name, sizeof name, "pair-%s", sockets[i].name);
    plain(name, socketpair(sockets[i].family, sockets[i].type, 0, pair));
  }
#ifdef __x86_64__
  TRY("x32", 0x40000000 | SYS_getpid);
  long result;
  /* getpid of the 32-bit table. */
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
  if (result == -EPERM) puts("ia32");
#endif
  return 0;
}
