/*
 * Modes, owners, times and extended attributes, and the length of files by their path. Landlock knows nothing of attributes,
 * so that none of these calls is ever left to the kernel: the broker performs them, or they fail.
 */
#include "calls.h"
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

enum change { MODE, OWNER, TIMES, SET_ATTRIBUTE, REMOVE_ATTRIBUTE };

/* Where the arguments of a call are. -1: there is none. */
struct shape {
  int number;
  enum change change;
  int dirfd;    /* or the descriptor itself */
  int path;     /* -1: of the descriptor */
  int first;    /* of what is to be changed */
  int at_flags; /* the argument */
  bool nofollow;
};

static const struct shape shapes[] = {
    {SYS_fchmod, MODE, 0, -1, 1, -1, false},
    {SYS_fchmodat, MODE, 0, 1, 2, -1, false},
    {CALL_FCHMODAT2, MODE, 0, 1, 2, 3, false},
    {SYS_fchown, OWNER, 0, -1, 1, -1, false},
    {SYS_fchownat, OWNER, 0, 1, 2, 4, false},
    {SYS_utimensat, TIMES, 0, 1, 2, 3, false},
    {SYS_setxattr, SET_ATTRIBUTE, -1, 0, 1, -1, false},
    {SYS_lsetxattr, SET_ATTRIBUTE, -1, 0, 1, -1, true},
    {SYS_fsetxattr, SET_ATTRIBUTE, 0, -1, 1, -1, false},
    {CALL_SETXATTRAT, SET_ATTRIBUTE, 0, 1, 3, 2, false},
    {SYS_removexattr, REMOVE_ATTRIBUTE, -1, 0, 1, -1, false},
    {SYS_lremovexattr, REMOVE_ATTRIBUTE, -1, 0, 1, -1, true},
    {SYS_fremovexattr, REMOVE_ATTRIBUTE, 0, -1, 1, -1, false},
    {CALL_REMOVEXATTRAT, REMOVE_ATTRIBUTE, 0, 1, 3, 2, false},
#ifdef __x86_64__
    {SYS_chmod, MODE, -1, 0, 1, -1, false},
    {SYS_chown, OWNER, -1, 0, 1, -1, false},
    {SYS_lchown, OWNER, -1, 0, 1, -1, true},
    {SYS_utime, TIMES, -1, 0, 1, -1, false},
    {SYS_utimes, TIMES, -1, 0, 1, -1, false},
    {SYS_futimesat, TIMES, 0, 1, 2, -1, false},
#endif
};

static int target_of(const struct call *call, const struct shape *shape, struct object *object) {
  char path[PATH_MAX];
  int dirfd = shape->dirfd < 0 ? AT_FDCWD : (int)call->args[shape->dirfd];
  int flags = shape->at_flags < 0 ? 0 : (int)call->args[shape->at_flags];
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return -EINVAL;
  /* These two take no path for the descriptor itself. */
  bool itself = shape->path < 0 || (shape->change == TIMES && shape->dirfd >= 0 && call->args[shape->path] == 0);
  if (itself) {
    if (dirfd == AT_FDCWD && shape->path >= 0) return -EFAULT;
    int fd = caller_descriptor(call, dirfd);
    if (fd >= 0 && !caller_uses(call, dirfd)) {
      close(fd);
      return -EBADF;
    }
    return object_from(call, fd, object);
  }
  bool none = call->args[shape->path] == 0 && (flags & AT_EMPTY_PATH) != 0;
  path[0] = '\0';
  int error = none ? 0 : caller_text(call, call->args[shape->path], path, sizeof path);
  if (error != 0) return error;
  if (path[0] == '\0') {
    if ((flags & AT_EMPTY_PATH) == 0) return -ENOENT;
    return object_from(call, caller_directory(call, dirfd), object);
  }
  bool follow = !shape->nofollow && (flags & AT_SYMLINK_NOFOLLOW) == 0;
  int own = follow ? named_descriptor(call, path) : -1;
  if (own >= 0) return object_from(call, caller_descriptor(call, own), object);
  int start = enter_start(call, dirfd, path, 0);
  if (start < 0 && start != AT_FDCWD) return start;
  error = object_at(call, start, path, follow, 0, object);
  leave_start(start);
  return error;
}

/* What is to be changed to what. All of it is read before the path is, as the kernel does it. */
struct change_to {
  bool now;
  struct timespec times[2];
  char name[XATTR_NAME_MAX + 2];
  char *value;
  size_t size;
  int flags;
};

static int read_times(const struct call *call, uint64_t address, struct change_to *to) {
  struct timespec *times = to->times;
  int error = 0;
  to->now = address == 0;
  if (to->now) return 0;
  if (call->number == SYS_utimensat) return caller_read(call, address, times, sizeof to->times);
#ifdef __x86_64__
  if (call->number == SYS_utime) {
    long seconds[2] = {0};
    error = caller_read(call, address, seconds, sizeof seconds);
    for (int i = 0; i < 2; i++) times[i] = (struct timespec){.tv_sec = seconds[i]};
    return error;
  }
  struct timeval values[2];
  error = caller_read(call, address, values, sizeof values);
  for (int i = 0; i < 2 && error == 0; i++) {
    if (values[i].tv_usec < 0 || values[i].tv_usec >= 1000000) return -EINVAL;
    times[i] = (struct timespec){.tv_sec = values[i].tv_sec, .tv_nsec = values[i].tv_usec * 1000};
  }
#endif
  return error;
}

static int read_value(const struct call *call, const struct shape *shape, struct change_to *to) {
  struct {
    uint64_t value;
    uint32_t size, flags;
  } form;
  uint64_t size = call->args[shape->first + 2], value = call->args[shape->first + 1];
  to->flags = (int)call->args[shape->first + 3];
  if (call->number == CALL_SETXATTRAT) {
    if (call->args[5] != sizeof form) return -EINVAL;
    int error = caller_read(call, call->args[4], &form, sizeof form);
    if (error != 0) return error;
    value = form.value;
    size = form.size;
    to->flags = (int)form.flags;
  }
  if ((to->flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return -EINVAL;
  if (size > XATTR_SIZE_MAX) return -E2BIG;
  to->size = size;
  to->value = malloc(size + 1);
  return to->value == NULL ? -ENOMEM : caller_read(call, value, to->value, size);
}

static int read_change(const struct call *call, const struct shape *shape, struct change_to *to) {
  uint64_t address = call->args[shape->first];
  if (shape->change == MODE || shape->change == OWNER) return 0;
  if (shape->change == TIMES) return read_times(call, address, to);
  int error = caller_text(call, address, to->name, sizeof to->name);
  if (error == -ENAMETOOLONG || (error == 0 && to->name[0] == '\0')) return -ERANGE;
  if (error != 0 || shape->change == REMOVE_ATTRIBUTE) return error;
  return read_value(call, shape, to);
}

static bool is_allowed(const struct object *object) {
  mode_t type = object->info.st_mode & S_IFMT;
  if (object->anonymous) return true;
  /* A device belongs to all, whoever may write to it. */
  if (type == S_IFCHR || type == S_IFBLK) return false;
  return object->kind == NATIVE || object->kind == BROKERED;
}

/* By the name of our own descriptor, which leads to exactly this object, be it a link. */
static long change(const struct call *call, const struct shape *shape, const struct object *object, const struct change_to *to) {
  char target[32];
  const uint64_t *args = call->args;
  int failed = -1;
  if (!is_allowed(object)) return refuse(call, object->kind == PROTECTED ? EROFS : EPERM);
  if (!caller_waits(call)) return -ENOENT;
  proc_name(target, object->fd);
  switch (shape->change) {
    case MODE: failed = chmod(target, (mode_t)args[shape->first] & 07777); break;
    case OWNER: failed = chown(target, (uid_t)args[shape->first], (gid_t)args[shape->first + 1]); break;
    case TIMES: failed = utimensat(AT_FDCWD, target, to->now ? NULL : to->times, 0); break;
    case SET_ATTRIBUTE: failed = setxattr(target, to->name, to->value, to->size, to->flags); break;
    case REMOVE_ATTRIBUTE: failed = removexattr(target, to->name); break;
  }
  return failed == 0 ? 0 : -errno;
}

long call_attributes(struct call *call) {
  const struct shape *shape = NULL;
  struct change_to to = {0};
  struct object object;
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    if (shapes[i].number == call->number) shape = &shapes[i];
  }
  if (shape == NULL) return refuse(call, EPERM);
  long result = read_change(call, shape, &to);
  if (result == 0) result = target_of(call, shape, &object);
  if (result == 0) {
    result = change(call, shape, &object, &to);
    close(object.fd);
  }
  free(to.value);
  /* Never the kernel: it would go on without asking Landlock. */
  return result == LEAVE ? -EPERM : result;
}

long call_truncate(struct call *call) {
  char path[PATH_MAX], target[32];
  struct object object;
  struct rlimit limit;
  if ((int64_t)call->args[1] < 0) return -EINVAL;
  int error = caller_text(call, call->args[0], path, sizeof path);
  if (error != 0) return error;
  int own = named_descriptor(call, path);
  int start = own >= 0 ? AT_FDCWD : enter_start(call, AT_FDCWD, path, 0);
  if (start < 0 && start != AT_FDCWD) return start;
  error = own >= 0 ? object_from(call, caller_descriptor(call, own), &object) : object_at(call, start, path, true, 0, &object);
  leave_start(start);
  if (error != 0) return LEAVE;
  long result = LEAVE;
  int64_t length = (int64_t)call->args[1];
  if (object.kind == PROTECTED) result = refuse(call, EROFS);
  else if (object.kind == OUTSIDE && S_ISREG(object.info.st_mode)) call->broker->denials++;
  else if (object.kind == BROKERED) {
    proc_name(target, object.fd);
    if (prlimit(call->tid, RLIMIT_FSIZE, NULL, &limit) != 0) result = -EPERM;
    else if (length > 0 && limit.rlim_cur != RLIM_INFINITY && (uint64_t)length > limit.rlim_cur) result = -EFBIG;
    else if (!caller_waits(call)) result = -ENOENT;
    else result = truncate(target, length) == 0 ? 0 : -errno;
  }
  close(object.fd);
  return result;
}
