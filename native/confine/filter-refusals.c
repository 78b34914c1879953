/*
 * What is refused, at which level.
 */
#include "calls.h"
#include "filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* In unshare only; in clone the same bit is part of a signal's number. */
#define NEW_TIME 0x80U
#define NEW_NAMESPACES ((uint32_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))

static const int always[] = {
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_move_mount, SYS_open_tree, CALL_OPEN_TREE_ATTR, SYS_fsopen, SYS_fsconfig,
    SYS_fsmount, SYS_fspick, CALL_MOUNT_SETATTR, SYS_chroot, SYS_setns, SYS_io_uring_setup, SYS_io_uring_enter,
    SYS_io_uring_register, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_bpf, SYS_perf_event_open, SYS_kexec_load,
    SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct,
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_quotactl, CALL_QUOTACTL_FD,
    SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_userfaultfd, SYS_vhangup, SYS_syslog, SYS_pidfd_getfd, SYS_kcmp,
#ifdef SYS_lookup_dcookie
    SYS_lookup_dcookie,
#endif
#ifdef __x86_64__
    SYS_iopl, SYS_ioperm,
#endif
};

/* recvfrom, sendmsg and recvmsg stay: programs talk over the sockets that they were given or made in pairs. */
static const int of_network[] = {
    SYS_connect, SYS_accept, SYS_accept4, SYS_bind, SYS_listen, SYS_getpeername, SYS_getsockname, SYS_shutdown, SYS_sendto,
    SYS_sendmmsg, SYS_recvmmsg, SYS_getsockopt, SYS_setsockopt, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
};

/* Objects outside of the file system that no namespace separates here, and attributes that the broker does not know. */
static const int standalone_only[] = {
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv,
    SYS_msgctl, SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,
    CALL_FILE_SETATTR, SYS_process_madvise, SYS_process_mrelease,
};

/* Landlock keeps signals inside, but not these. A process may name itself by 0; whom another number means is not known. */
static const struct {
  int call, argument;
} of_one_process[] = {
    {SYS_prlimit64, 0},          {SYS_sched_setaffinity, 0}, {SYS_sched_setscheduler, 0}, {SYS_sched_setparam, 0},
    {SYS_sched_setattr, 0},      {SYS_move_pages, 0},        {SYS_migrate_pages, 0},      {SYS_setpriority, 1},
    {SYS_ioprio_set, 1},
};
/* With a number of 0 they mean all processes of the user. */
static const int by_user[] = {SYS_setpriority, SYS_ioprio_set};
static const uint32_t user_kinds[] = {2 /* PRIO_USER */, 3 /* IOPRIO_WHO_USER */};

#define REFUSED (SECCOMP_RET_ERRNO | EPERM)

static void jump_if(struct program *program, uint16_t test, uint32_t value, uint32_t action) {
  emit(program, (uint16_t)(BPF_JMP | test | BPF_K), value, 0, 1);
  answer(program, action);
}

static void refuse_bits(struct program *program, int call, int argument, uint32_t bits) {
  size_t begin = begin_call(program, call);
  load_argument(program, argument);
  jump_if(program, BPF_JSET, bits, REFUSED);
  answer(program, SECCOMP_RET_ALLOW);
  end_call(program, begin);
}

/* Of a datagram pair each end could send to any path, so that streams and packets are all there is without a network. */
static void add_sockets(struct program *program, int call, enum filter_level level) {
  static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
  size_t begin = begin_call(program, call);
  load_argument(program, 0);
  if (level == FILTER_NETWORK) {
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 4);
    load_argument(program, 1);
    emit(program, BPF_ALU | BPF_AND | BPF_K, 0xf /* without its flags */, 0, 0);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 2, 0);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, SOCK_SEQPACKET, 1, 0);
    answer(program, REFUSED);
    answer(program, SECCOMP_RET_ALLOW);
  } else {
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
      jump_if(program, BPF_JEQ, (uint32_t)families[i], SECCOMP_RET_ALLOW);
    }
    answer(program, REFUSED);
  }
  end_call(program, begin);
}

/* Requests that change what a descriptor opened for reading refers to. */
static const uint32_t attribute_requests[] = {
    0x40086602, 0x40046602, /* flags of an inode */
    0x401c5820,             /* the same with project and hints */
    0x40087602, 0x40047602, 0x40086604, 0x40046604, /* its version */
    0x40806685,             /* verity */
    0x800c6613,             /* encryption policy */
    0x40047211,             /* attributes of FAT */
};
#define BTRFS_TYPE 0x9400U
/* Copying within the file system goes by descriptors that are open for writing. */
static const uint32_t btrfs_allowed[] = {0x40049409, 0x4020940d, 0xc0189436};

static void add_ioctl(struct program *program, bool standalone) {
  size_t begin = begin_call(program, SYS_ioctl);
  load_argument(program, 1);
  jump_if(program, BPF_JEQ, TIOCSTI, REFUSED);
  jump_if(program, BPF_JEQ, 0x541c /* TIOCLINUX */, REFUSED);
  if (standalone) {
    for (size_t i = 0; i < sizeof attribute_requests / sizeof attribute_requests[0]; i++) {
      jump_if(program, BPF_JEQ, attribute_requests[i], REFUSED);
    }
    for (size_t i = 0; i < sizeof btrfs_allowed / sizeof btrfs_allowed[0]; i++) {
      jump_if(program, BPF_JEQ, btrfs_allowed[i], SECCOMP_RET_ALLOW);
    }
    emit(program, BPF_ALU | BPF_AND | BPF_K, 0xff00, 0, 0);
    jump_if(program, BPF_JEQ, BTRFS_TYPE, REFUSED);
  }
  answer(program, SECCOMP_RET_ALLOW);
  end_call(program, begin);
}

/* Devices never; what else there is to make goes on as `otherwise` says. */
static void add_mknod(struct program *program, int call, int argument, uint32_t otherwise) {
  size_t begin = begin_call(program, call);
  load_argument(program, argument);
  emit(program, BPF_ALU | BPF_AND | BPF_K, S_IFMT, 0, 0);
  jump_if(program, BPF_JEQ, S_IFCHR, REFUSED);
  jump_if(program, BPF_JEQ, S_IFBLK, REFUSED);
  answer(program, otherwise);
  end_call(program, begin);
}

static void refuse_others(struct program *program) {
  for (size_t i = 0; i < sizeof of_one_process / sizeof of_one_process[0]; i++) {
    int call = of_one_process[i].call;
    size_t begin = begin_call(program, call);
    for (size_t j = 0; j < sizeof by_user / sizeof by_user[0]; j++) {
      if (by_user[j] != call) continue;
      load_argument(program, 0);
      jump_if(program, BPF_JEQ, user_kinds[j], REFUSED);
    }
    load_argument(program, of_one_process[i].argument);
    jump_if(program, BPF_JEQ, 0, SECCOMP_RET_ALLOW);
    answer(program, REFUSED);
    end_call(program, begin);
  }
}

static void refuse_all(struct program *program, const int *calls, size_t count) {
  for (size_t i = 0; i < count; i++) refuse_call(program, calls[i], EPERM);
}
#define REFUSE_ALL(program, calls) refuse_all((program), (calls), sizeof(calls) / sizeof(calls)[0])

void add_refusals(struct program *program, enum filter_level level, bool standalone) {
  uint32_t otherwise = standalone ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW;
  REFUSE_ALL(program, always);
  if (level == FILTER_NETWORK) REFUSE_ALL(program, of_network);
  if (standalone) {
    REFUSE_ALL(program, standalone_only);
    refuse_others(program);
  }
  /* Its arguments are in memory, where a filter cannot look. The C library falls back to clone. */
  refuse_call(program, SYS_clone3, ENOSYS);
  refuse_bits(program, SYS_clone, 0, NEW_NAMESPACES);
  refuse_bits(program, SYS_unshare, 0, NEW_NAMESPACES | NEW_TIME);
  add_sockets(program, SYS_socket, level);
  add_sockets(program, SYS_socketpair, level);
  add_ioctl(program, standalone);
#ifdef SYS_mknod
  add_mknod(program, SYS_mknod, 1, otherwise);
#endif
  add_mknod(program, SYS_mknodat, 2, otherwise);
}
