/*
 * Opening for writing, and making files by opening them. What is there is found first and then opened by its descriptor, so
 * that nothing else can be opened or truncated than what was looked at; what is not there is made with O_EXCL.
 */
#include "calls.h"
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <unistd.h>

#define TMPFILE_BIT ((uint64_t)(O_TMPFILE & ~O_DIRECTORY))
/* What openat2 may be asked for; open and openat ignore the rest. The last two are O_LARGEFILE, as the kernel numbers it. */
#define KNOWN_FLAGS ((uint64_t)(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC | \
                                O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE | 0100000 | 0400000))
#define CACHED 0x20U
/* A file that is made and taken away all the time is not followed for ever. */
#define TRIES 40

struct opening {
  int dirfd;
  uint64_t flags, mode, resolve;
  char path[PATH_MAX];
};

static bool writes(uint64_t flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

/* The kernel has the error for these, before it looks at anything else. */
static bool is_senseless(uint64_t flags) {
  if ((flags & TMPFILE_BIT) != 0) return (flags & O_DIRECTORY) == 0 || (flags & O_CREAT) != 0 || (flags & O_ACCMODE) == O_RDONLY;
  return (flags & O_CREAT) != 0 && (flags & O_DIRECTORY) != 0;
}

static int read_arguments(const struct call *call, struct opening *opening) {
  const uint64_t *args = call->args;
  struct open_how how = {0};
  uint64_t address = args[1];
  *opening = (struct opening){.dirfd = (int)args[0]};
  switch (call->number) {
#ifdef SYS_open
    case SYS_open:
      opening->dirfd = AT_FDCWD;
      address = args[0];
      opening->flags = (uint32_t)args[1];
      opening->mode = (uint32_t)args[2];
      break;
    case SYS_creat:
      opening->dirfd = AT_FDCWD;
      address = args[0];
      opening->flags = O_CREAT | O_WRONLY | O_TRUNC;
      opening->mode = (uint32_t)args[1];
      break;
#endif
    case SYS_openat:
      opening->flags = (uint32_t)args[2];
      opening->mode = (uint32_t)args[3];
      break;
    default: {
      /* A longer form than is known here is the kernel's business. */
      if (args[3] != sizeof how) return LEAVE;
      int error = caller_read(call, args[2], &how, sizeof how);
      if (error != 0) return error;
      bool makes = (how.flags & (O_CREAT | TMPFILE_BIT)) != 0;
      if ((how.flags & ~KNOWN_FLAGS) != 0 || (how.mode & ~(makes ? 07777ULL : 0)) != 0) return LEAVE;
      /* Whoever asks for what needs no waiting asks again without. */
      if ((how.resolve & CACHED) != 0) return -EAGAIN;
      opening->flags = how.flags;
      opening->mode = how.mode;
      opening->resolve = how.resolve;
    }
  }
  opening->mode &= 07777;
  if (is_senseless(opening->flags)) return LEAVE;
  return caller_text(call, address, opening->path, sizeof opening->path);
}

/* In a directory that many may write to, kernels refuse to open what somebody else has put there. */
static bool is_planted(const struct object *object) {
  char folder[PATH_MAX];
  struct stat info;
  if (object->info.st_uid == geteuid()) return false;
  strcpy(folder, object->real);
  char *slash = strrchr(folder, '/');
  if (slash == NULL) return true;
  slash[slash == folder] = '\0';
  if (stat(folder, &info) != 0) return true;
  return (info.st_mode & S_ISVTX) != 0 && (info.st_mode & (S_IWOTH | S_IWGRP)) != 0 && info.st_uid != object->info.st_uid;
}

/* Closes the object unless it is kept waiting. */
static long open_object(const struct call *call, struct object *object, uint64_t flags) {
  char name[32];
  long result = LEAVE;
  mode_t type = object->info.st_mode & S_IFMT;
  bool regular = type == S_IFREG, fifo = type == S_IFIFO;
  if (object->kind == PROTECTED && regular && writes(flags)) result = refuse(call, EROFS);
  else if (object->kind == OUTSIDE && regular && writes(flags)) call->broker->denials++;
  else if (object->kind == BROKERED && (regular || fifo)) {
    if ((flags & O_DIRECTORY) != 0) result = -ENOTDIR;
    else if ((flags & O_CREAT) != 0 && is_planted(object)) result = -EACCES;
    else if (fifo && (flags & O_ACCMODE) == O_WRONLY && (flags & O_NONBLOCK) == 0) {
      return wait_for_reader(call, object, (int)flags);
    } else if (regular || (flags & O_ACCMODE) != O_RDONLY) {
      proc_name(name, object->fd);
      int fd = open(name, (int)((flags & ~(uint64_t)(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_CLOEXEC));
      result = fd < 0 ? -errno : hand_out(call, fd, (flags & O_CLOEXEC) != 0);
    }
  }
  close(object->fd);
  return result;
}

static long make_unnamed(const struct call *call, int start, const struct opening *opening) {
  struct object folder;
  mode_t mask;
  int error = object_at(call, start, opening->path, (opening->flags & O_NOFOLLOW) == 0, opening->resolve, &folder);
  if (error != 0) return LEAVE;
  long result = LEAVE;
  if (folder.kind == PROTECTED) result = refuse(call, EROFS);
  else if (folder.kind == BROKERED && S_ISDIR(folder.info.st_mode)) {
    if ((result = caller_umask(call, &mask)) == 0 && caller_waits(call)) {
      umask(mask);
      int fd = openat(folder.fd, ".", (int)((opening->flags & ~(uint64_t)O_NOFOLLOW) | O_CLOEXEC), (mode_t)opening->mode);
      result = fd < 0 ? -errno : hand_out(call, fd, (opening->flags & O_CLOEXEC) != 0);
    }
  }
  close(folder.fd);
  return result;
}

/* Answers 1, and the text, where a link that leads nowhere is to be followed. */
static int read_dangling(const struct place *place, const struct opening *opening, char *target) {
  struct stat info, folder;
  if (fstatat(place->parent, place->name, &info, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -errno;
  if (!S_ISLNK(info.st_mode)) return -EAGAIN;
  if ((opening->flags & O_EXCL) != 0) return -EEXIST;
  if ((opening->flags & O_NOFOLLOW) != 0) return -ELOOP;
  /* Where the walk itself is bound by rules, a link's text alone would leave them behind. */
  if ((opening->resolve & ~(uint64_t)RESOLVE_NO_MAGICLINKS) != 0 || fstat(place->parent, &folder) != 0) return -EACCES;
  bool shared = (folder.st_mode & S_ISVTX) != 0 && (folder.st_mode & S_IWOTH) != 0;
  if (shared && info.st_uid != geteuid() && info.st_uid != folder.st_uid) return -EACCES;
  ssize_t length = readlinkat(place->parent, place->name, target, PATH_MAX);
  if (length <= 0 || length >= PATH_MAX) return -ENAMETOOLONG;
  target[length] = '\0';
  return 1;
}

/* -EAGAIN: something is there now. */
static long make_at(const struct call *call, const struct place *place, const struct opening *opening) {
  mode_t mask;
  if (place->parent_kind == PROTECTED || place->kind == PROTECTED) return refuse(call, EROFS);
  if (place->parent_kind == OUTSIDE) call->broker->denials++;
  if (place->parent_kind != BROKERED) return LEAVE;
  int error = caller_umask(call, &mask);
  if (error != 0 || !caller_waits(call)) return error != 0 ? error : -ENOENT;
  umask(mask);
  uint64_t flags = (opening->flags & ~(uint64_t)O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(place->parent, place->name, (int)flags, (mode_t)opening->mode);
  if (fd < 0) return errno == EEXIST && (opening->flags & O_EXCL) == 0 ? -EAGAIN : -errno;
  return hand_out(call, fd, (opening->flags & O_CLOEXEC) != 0);
}

static long make_file(const struct call *call, int *start, struct opening *opening) {
  struct place place;
  char target[PATH_MAX];
  for (int links = 0; links < LINKS_LIMIT; links++) {
    int error = place_at(call, *start, opening->path, opening->resolve, &place);
    if (error != 0) return error;
    int dangling = place.slash ? LEAVE : read_dangling(&place, opening, target);
    if (dangling <= 0) {
      long result = dangling == 0 ? make_at(call, &place, opening) : dangling;
      close(place.parent);
      return result;
    }
    leave_start(*start);
    *start = place.parent;
    strcpy(opening->path, target);
  }
  return -ELOOP;
}

static long open_path(const struct call *call, int *start, struct opening *opening) {
  bool creates = (opening->flags & O_CREAT) != 0, only_new = creates && (opening->flags & O_EXCL) != 0;
  bool follow = !only_new && (opening->flags & O_NOFOLLOW) == 0;
  for (int i = 0; i < TRIES; i++) {
    struct object object;
    int error = object_at(call, *start, opening->path, follow, opening->resolve, &object);
    if (error == 0 && !caller_waits(call)) {
      close(object.fd);
      return -ENOENT;
    }
    if (error == 0 && only_new) {
      close(object.fd);
      return -EEXIST;
    }
    if (error == 0) return open_object(call, &object, opening->flags);
    if (error != -ENOENT || !creates) return LEAVE;
    long result = make_file(call, start, opening);
    if (result != -EAGAIN) return result;
  }
  return -EAGAIN;
}

long call_open(struct call *call) {
  struct opening opening;
  struct object object;
  int error = read_arguments(call, &opening);
  if (error != 0) return error;
  if ((opening.flags & O_PATH) != 0) return LEAVE;
  size_t length = strlen(opening.path);
  if ((opening.flags & O_CREAT) != 0 && length > 0 && opening.path[length - 1] == '/') return LEAVE;
  bool unnamed = (opening.flags & TMPFILE_BIT) != 0;
  if (!writes(opening.flags) && (opening.flags & O_CREAT) == 0 && !unnamed) return LEAVE;
  /* A link that is not to be followed is one, whatever it leads to. */
  bool follow = (opening.flags & O_NOFOLLOW) == 0 && (opening.flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
  int own = follow && opening.resolve == 0 ? named_descriptor(call, opening.path) : -1;
  if (own >= 0) {
    error = object_from(call, caller_descriptor(call, own), &object);
    if (error != 0 || !caller_waits(call)) return LEAVE;
    return open_object(call, &object, opening.flags);
  }
  int start = enter_start(call, opening.dirfd, opening.path, opening.resolve);
  if (start < 0 && start != AT_FDCWD) return LEAVE;
  long result = unnamed ? make_unnamed(call, start, &opening) : open_path(call, &start, &opening);
  leave_start(start);
  return result;
}
