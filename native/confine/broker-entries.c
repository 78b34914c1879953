/* Making, removing, moving and linking entries of directories. */
#include "calls.h"
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

/* The place that a path argument names. The caller closes its parent. */
static int read_place(const struct call *call, int dirfd, uint64_t address, struct place *place) {
  char path[PATH_MAX];
  int error = caller_text(call, address, path, sizeof path);
  if (error != 0) return error;
  int start = enter_start(call, dirfd, path, 0);
  if (start < 0 && start != AT_FDCWD) return start;
  error = place_at(call, start, path, 0, place);
  leave_start(start);
  if (error == 0 && !caller_waits(call)) {
    close(place->parent);
    return -ENOENT;
  }
  return error;
}

static bool is_protected(const struct place *place) { return place->parent_kind == PROTECTED || place->kind == PROTECTED; }

/* 0: the broker may change this entry. */
static long decide(const struct call *call, const struct place *place) {
  if (is_protected(place)) return refuse(call, EROFS);
  if (place->parent_kind == OUTSIDE) call->broker->denials++;
  return place->parent_kind == BROKERED ? 0 : LEAVE;
}

static bool is_there(const struct place *place) {
  struct stat info;
  char name[NAME_MAX + 2];
  snprintf(name, sizeof name, "%s", place->name);
  for (char *c = name; *c != '\0'; c++) {
    if (*c == '/') *c = '\0';
  }
  return fstatat(place->parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* As a read-only mount has it: what exists is said to exist. */
static long decide_new(const struct call *call, const struct place *place, bool folder) {
  if (is_protected(place) && is_there(place)) return -EEXIST;
  long decision = decide(call, place);
  /* What is above a protected path may only ever be a directory, so that the path keeps its meaning. */
  if (decision == 0 && !folder && rules_at_or_below(&call->broker->rules, place->real)) return refuse(call, EROFS);
  return decision;
}

long call_make(struct call *call) {
  struct place place;
  char text[PATH_MAX];
  mode_t mask = 0, mode = 0;
  int dirfd = AT_FDCWD, path = 0;
  bool folder = false, link = false;
  switch (call->number) {
#ifdef SYS_mkdir
    case SYS_mkdir: folder = true; mode = (mode_t)call->args[1]; break;
    case SYS_mknod: mode = (mode_t)call->args[1]; break;
    case SYS_symlink: link = true; path = 1; break;
#endif
    case SYS_mkdirat: folder = true; dirfd = (int)call->args[0]; path = 1; mode = (mode_t)call->args[2]; break;
    case SYS_mknodat: dirfd = (int)call->args[0]; path = 1; mode = (mode_t)call->args[2]; break;
    default: link = true; dirfd = (int)call->args[1]; path = 2; break;
  }
  mode_t type = mode & S_IFMT;
  /* Sockets are made by bind, which has no rights where the broker decides; devices the filter has refused. */
  if (!link && !folder && type != 0 && type != S_IFREG && type != S_IFIFO) return LEAVE;
  if (link) {
    int error = caller_text(call, call->args[0], text, sizeof text);
    if (error != 0) return error;
    if (text[0] == '\0') return -ENOENT;
  }
  int error = read_place(call, dirfd, call->args[path], &place);
  if (error != 0) return error;
  long result = decide_new(call, &place, folder);
  if (result == 0 && !link) result = caller_umask(call, &mask);
  if (result == 0 && caller_waits(call)) {
    umask(mask);
    int failed;
    if (link) failed = symlinkat(text, place.parent, place.name);
    else if (folder) failed = mkdirat(place.parent, place.name, mode);
    else failed = mknodat(place.parent, place.name, mode, 0);
    if (failed != 0) result = -errno;
  }
  close(place.parent);
  return result;
}

long call_remove(struct call *call) {
  struct place place;
  int dirfd = AT_FDCWD, path = 0, flags = 0;
  if (call->number == SYS_unlinkat) {
    dirfd = (int)call->args[0];
    path = 1;
    flags = (int)call->args[2];
  }
#ifdef SYS_rmdir
  if (call->number == SYS_rmdir) flags = AT_REMOVEDIR;
#endif
  if ((flags & ~AT_REMOVEDIR) != 0) return -EINVAL;
  int error = read_place(call, dirfd, call->args[path], &place);
  if (error != 0) return error;
  long result = decide(call, &place);
  if (result == 0 && rules_at_or_below(&call->broker->rules, place.real) && is_there(&place)) result = refuse(call, EBUSY);
  if (result == 0 && unlinkat(place.parent, place.name, flags) != 0) result = -errno;
  close(place.parent);
  return result;
}

static bool is_writable(enum kind kind) { return kind == BROKERED || kind == NATIVE; }

static long move(const struct call *call, const struct place *from, const struct place *to, unsigned flags) {
  const struct rules *rules = &call->broker->rules;
  if (is_protected(from) || is_protected(to)) return refuse(call, EROFS);
  if (!is_writable(from->parent_kind) || !is_writable(to->parent_kind)) {
    call->broker->denials++;
    return LEAVE;
  }
  if (from->parent_kind == NATIVE && to->parent_kind == NATIVE) return LEAVE;
  if (rules_at_or_below(rules, from->real) || rules_at_or_below(rules, to->real)) return refuse(call, EBUSY);
  /* A whiteout is a device. */
  if ((flags & RENAME_WHITEOUT) != 0) return -EINVAL;
  return syscall(SYS_renameat2, from->parent, from->name, to->parent, to->name, flags) == 0 ? 0 : -errno;
}

long call_rename(struct call *call) {
  struct place from, to;
  int from_fd = AT_FDCWD, to_fd = AT_FDCWD, from_path = 0, to_path = 1;
  unsigned flags = 0;
#ifdef SYS_rename
  bool at = call->number != SYS_rename;
#else
  bool at = true;
#endif
  if (at) {
    from_fd = (int)call->args[0];
    to_fd = (int)call->args[2];
    from_path = 1;
    to_path = 3;
  }
  if (call->number == SYS_renameat2) flags = (unsigned)call->args[4];
  int error = read_place(call, from_fd, call->args[from_path], &from);
  if (error != 0) return error;
  error = read_place(call, to_fd, call->args[to_path], &to);
  /* Which of two paths is complained about is the kernel's to say. */
  long result = error != 0 ? LEAVE : move(call, &from, &to, flags);
  close(from.parent);
  if (error == 0) close(to.parent);
  return result;
}

static int read_source(const struct call *call, int dirfd, uint64_t address, int flags, struct object *source) {
  char path[PATH_MAX];
  int error = caller_text(call, address, path, sizeof path);
  if (error != 0) return error;
  if (path[0] == '\0') {
    if ((flags & AT_EMPTY_PATH) == 0) return -ENOENT;
    return object_from(call, caller_descriptor(call, dirfd), source);
  }
  bool follow = (flags & AT_SYMLINK_FOLLOW) != 0;
  int own = named_descriptor(call, path);
  if (own >= 0 && follow) return object_from(call, caller_descriptor(call, own), source);
  int start = enter_start(call, dirfd, path, 0);
  if (start < 0 && start != AT_FDCWD) return start;
  error = object_at(call, start, path, follow, 0, source);
  leave_start(start);
  return error;
}

/* A link to a file that may not be written would be a way to write it. */
long call_link(struct call *call) {
  struct object source;
  struct place place;
  char name[32];
  int from_fd = AT_FDCWD, to_fd = AT_FDCWD, from_path = 0, to_path = 1, flags = 0;
  if (call->number == SYS_linkat) {
    from_fd = (int)call->args[0];
    from_path = 1;
    to_fd = (int)call->args[2];
    to_path = 3;
    flags = (int)call->args[4];
  }
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return -EINVAL;
  int error = read_place(call, to_fd, call->args[to_path], &place);
  if (error != 0) return LEAVE;
  error = read_source(call, from_fd, call->args[from_path], flags, &source);
  if (error != 0) {
    close(place.parent);
    return LEAVE;
  }
  long result;
  if (place.parent_kind == NATIVE && source.kind == NATIVE) result = LEAVE;
  else if (place.parent_kind == NATIVE && !is_protected(&place)) result = 0;
  else result = decide_new(call, &place, false);
  if (result == 0 && !is_writable(source.kind)) result = refuse(call, source.kind == PROTECTED ? EROFS : EACCES);
  if (result == 0 && caller_waits(call)) {
    proc_name(name, source.fd);
    if (linkat(AT_FDCWD, name, place.parent, place.name, AT_SYMLINK_FOLLOW) != 0) result = -errno;
  }
  close(place.parent);
  close(source.fd);
  return result;
}
