/*
 * Modes, owners, times and extended attributes, and the length of files by their path. Landlock knows nothing of attributes,
 * so that none of these calls is ever left to the kernel: the broker performs them, or they fail.
 */
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CALL_FCHMODAT2 452
#define CALL_SETXATTRAT 463
#define CALL_REMOVEXATTRAT 466

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
  int error = call->args[shape->path] == 0 && (flags & AT_EMPTY_PATH) != 0 ? 0 : caller_text(call, call->args[shape->path], path, sizeof path);
  if (call->args[shape->path] == 0) path[0] = '\0';
  if (error != 0) return error;
  if (path[0] == '\0') {
    if ((flags & AT_EMPTY_PATH) == 0) return -ENOENT;
    return object_from(call, caller_directory(call, dirfd), object);
  }
  bool follow = !shape->nofollow && (flags & AT_SYMLINK_NOFOLLOW) == 0;
  int own = follow ? named_descriptor(call, path) : -1;
  if (own >= 0) return object_from(call, caller_descriptor(call, own), object);
  int start = enter_start(call, dirfd, path);
  if (start < 0 && start != AT_FDCWD) return start;
  error = object_at(call, start, path, follow, 0, object);
  leave_start(start);
  return error;
}

static int times_of(const struct call *call, const struct shape *shape, struct timespec times[2]) {
  uint64_t address = call->args[shape->first];
  int error = 0;
  if (address == 0) return 1;
  if (call->number == SYS_utimensat) return caller_read(call, address, times, 2 * sizeof times[0]);
#ifdef __x86_64__
  if (call->number == SYS_utime) {
    long seconds[2];
    error = caller_read(call, address, seconds, sizeof seconds);
    for (int i = 0; i < 2; i++) times[i] = (struct timespec){.tv_sec = seconds[i]};
    return error;
  }
  struct timeval values[2];
  error = caller_read(call, address, values, sizeof values);
  for (int i = 0; i < 2 && error == 0; i++) {
    if (values[i].tv_usec < 0 || values[i].tv_usec >= 1000000) error = -EINVAL;
    times[i] = (struct timespec){.tv_sec = values[i].tv_sec, .tv_nsec = values[i].tv_usec * 1000};
  }
#endif
  return error;
}

static long change_times(const struct call *call, const struct shape *shape, const char *target) {
  struct timespec times[2] = {{0}};
  int now = times_of(call, shape, times);
  if (now < 0) return now;
  if (!caller_waits(call)) return -ENOENT;
  return utimensat(AT_FDCWD, target, now == 1 ? NULL : times, 0) == 0 ? 0 : -errno;
}

static long set_attribute(const struct call *call, const struct shape *shape, const char *target, const char *name) {
  struct {
    uint64_t value;
    uint32_t size, flags;
  } form = {.value = call->args[shape->first + 1]};
  uint64_t size = call->args[shape->first + 2];
  form.flags = (uint32_t)call->args[shape->first + 3];
  if (call->number == CALL_SETXATTRAT) {
    if (call->args[5] != sizeof form) return -EINVAL;
    int error = caller_read(call, call->args[4], &form, sizeof form);
    if (error != 0) return error;
    size = form.size;
  }
  if (size > XATTR_SIZE_MAX) return -E2BIG;
  char *value = malloc(size + 1);
  if (value == NULL) return -ENOMEM;
  long result = caller_read(call, form.value, value, size);
  if (result == 0 && !caller_waits(call)) result = -ENOENT;
  if (result == 0 && setxattr(target, name, value, size, (int)form.flags) != 0) result = -errno;
  free(value);
  return result;
}

static long change_attribute(const struct call *call, const struct shape *shape, const char *target) {
  char name[XATTR_NAME_MAX + 2];
  int error = caller_text(call, call->args[shape->first], name, sizeof name);
  if (error == -ENAMETOOLONG || (error == 0 && name[0] == '\0')) return -ERANGE;
  if (error != 0) return error;
  if (shape->change == SET_ATTRIBUTE) return set_attribute(call, shape, target, name);
  if (!caller_waits(call)) return -ENOENT;
  return removexattr(target, name) == 0 ? 0 : -errno;
}

static bool is_allowed(const struct object *object) {
  mode_t type = object->info.st_mode & S_IFMT;
  if (object->anonymous) return true;
  /* A device belongs to all, whoever may write to it. */
  if (type == S_IFCHR || type == S_IFBLK) return false;
  return object->kind == NATIVE || object->kind == BROKERED;
}

/* By the name of our own descriptor, which leads to exactly this object, be it a link. */
static long change(const struct call *call, const struct shape *shape, const struct object *object) {
  char target[32];
  const uint64_t *args = call->args;
  if (!is_allowed(object)) return refuse(call, object->kind == PROTECTED ? EROFS : EPERM);
  if (!caller_waits(call)) return -ENOENT;
  proc_name(target, object->fd);
  switch (shape->change) {
    case MODE: return chmod(target, (mode_t)args[shape->first] & 07777) == 0 ? 0 : -errno;
    case OWNER: return chown(target, (uid_t)args[shape->first], (gid_t)args[shape->first + 1]) == 0 ? 0 : -errno;
    case TIMES: return change_times(call, shape, target);
    default: return change_attribute(call, shape, target);
  }
}

long call_attributes(struct call *call) {
  const struct shape *shape = NULL;
  struct object object;
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    if (shapes[i].number == call->number) shape = &shapes[i];
  }
  if (shape == NULL) return refuse(call, EPERM);
  int error = target_of(call, shape, &object);
  if (error != 0) return error == LEAVE ? -EPERM : error;
  long result = change(call, shape, &object);
  close(object.fd);
  return result == LEAVE ? -EPERM : result;
}

long call_truncate(struct call *call) {
  char path[PATH_MAX], target[32];
  struct object object;
  struct rlimit limit;
  int error = caller_text(call, call->args[0], path, sizeof path);
  if (error != 0) return error;
  int own = named_descriptor(call, path);
  int start = own >= 0 ? AT_FDCWD : enter_start(call, AT_FDCWD, path);
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
