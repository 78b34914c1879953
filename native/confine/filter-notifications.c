/*
 * The calls that the broker gets: all that can change the file system. Where flags tell that a call only reads, the filter
 * lets it pass at once.
 */
#include "calls.h"
#include "filter.h"

#include <fcntl.h>
#include <linux/seccomp.h>

/* O_TMPFILE without the O_DIRECTORY in it, which reading calls have, too. */
#define OPEN_CHANGES ((uint32_t)(O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY)))

static const int changing[] = {
    SYS_openat2, SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_truncate, SYS_fchmod, SYS_fchmodat,
    CALL_FCHMODAT2, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, CALL_SETXATTRAT,
    SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, CALL_REMOVEXATTRAT,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef __x86_64__
    SYS_creat, SYS_mkdir, SYS_unlink, SYS_rmdir, SYS_rename, SYS_link, SYS_symlink, SYS_chmod, SYS_chown, SYS_lchown,
    SYS_utime, SYS_utimes, SYS_futimesat,
#endif
};

static void notify_open(struct program *program, int call, int argument) {
  size_t begin = begin_call(program, call);
  load_argument(program, argument);
  emit(program, BPF_JMP | BPF_JSET | BPF_K, OPEN_CHANGES, 0, 1);
  answer(program, SECCOMP_RET_USER_NOTIF);
  answer(program, SECCOMP_RET_ALLOW);
  end_call(program, begin);
}

void add_notifications(struct program *program) {
  for (size_t i = 0; i < sizeof changing / sizeof changing[0]; i++) notify_call(program, changing[i]);
#ifdef SYS_open
  notify_open(program, SYS_open, 1);
#endif
  notify_open(program, SYS_openat, 2);
}
