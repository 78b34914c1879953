/*
 * From a path to what it names. The kernel walks it, but never through a magic link: those of /proc lead to what belongs to
 * the process that looks, which here is the broker. What is found is held by a descriptor, and the rules decide about the
 * real path of that descriptor.
 */
#include "calls.h"
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define GONE " (deleted)"
#define IN_MEMORY "/memfd:"
#define PIPES 0x50495045
#define SOCKETS 0x534f434b

void proc_name(char target[32], int fd) { snprintf(target, 32, "/proc/self/fd/%d", fd); }

int open_how(int start, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
  long fd = syscall(SYS_openat2, start, path, &how, sizeof how);
  return fd < 0 ? -errno : (int)fd;
}

bool real_path(int fd, char *target) {
  char name[32];
  proc_name(name, fd);
  ssize_t length = readlink(name, target, PATH_MAX);
  if (length <= 0 || length >= PATH_MAX) return false;
  target[length] = '\0';
  return true;
}

static const char *const own_folders[] = {"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"};

/* The descriptor whose directory a path goes on from, which then has the rest of it only; -1 for any other path. */
static int cut_descriptor(char *path) {
  for (int i = 0; i < 3; i++) {
    size_t length = strlen(own_folders[i]);
    if (strncmp(path, own_folders[i], length) != 0) continue;
    const char *digits = path + length;
    size_t count = strspn(digits, "0123456789");
    const char *rest = digits + count + strspn(digits + count, "/");
    if (count == 0 || count > 9 || digits[count] != '/' || *rest == '\0') return -1;
    int number = atoi(digits);
    memmove(path, rest, strlen(rest) + 1);
    return number;
  }
  return -1;
}

int enter_start(const struct call *call, int dirfd, char *path, uint64_t resolve) {
  /* A walk that is bound to a directory starts there, whatever the path looks like. */
  if (path[0] != '/' || resolve != 0) return caller_directory(call, dirfd);
  int own = cut_descriptor(path);
  if (own < 0) return AT_FDCWD;
  int folder = caller_descriptor(call, own);
  return folder == -EBADF ? -ENOENT : folder;
}

void leave_start(int start) {
  if (start >= 0) close(start);
}

static int number_behind(const char *path, const char *prefix) {
  size_t length = strlen(prefix);
  if (strncmp(path, prefix, length) != 0) return -1;
  const char *digits = path + length;
  size_t count = strspn(digits, "0123456789");
  if (count == 0 || count > 9 || digits[count] != '\0') return -1;
  return atoi(digits);
}

int named_descriptor(const struct call *call, const char *path) {
  static const char *const streams[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
  if (path[0] != '/' || (path[1] != 'd' && path[1] != 'p')) return -1;
  for (int i = 0; i < 3; i++) {
    if (strcmp(path, streams[i]) == 0) return i;
  }
  for (int i = 0; i < 3; i++) {
    int number = number_behind(path, own_folders[i]);
    if (number >= 0) return number;
  }
  return -1;
}

static bool is_of_kernel(int fd, bool *anonymous) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return true;
  *anonymous = info.f_type == PIPES || info.f_type == SOCKETS;
  return info.f_type == PROC_SUPER_MAGIC;
}

/* Of a file that has no name any more the kernel says where it was; a file may also be called that way. */
static enum kind kind_of(const struct rules *rules, const char *real) {
  char before[PATH_MAX];
  size_t length = strlen(real), suffix = strlen(GONE);
  enum kind kind = rules_kind(rules, real);
  if (length <= suffix || strcmp(real + length - suffix, GONE) != 0) return kind;
  memcpy(before, real, length - suffix);
  before[length - suffix] = '\0';
  enum kind other = rules_kind(rules, before);
  if (kind == PROTECTED || other == PROTECTED) return PROTECTED;
  return kind == other ? kind : OUTSIDE;
}

/* Takes the descriptor over, also when it fails. */
int object_from(const struct call *call, int fd, struct object *object) {
  if (fd < 0) return fd;
  *object = (struct object){.fd = fd, .kind = OUTSIDE};
  errno = 0;
  if (fstat(fd, &object->info) != 0 || !real_path(fd, object->real)) {
    int error = errno == 0 ? ENAMETOOLONG : errno;
    close(fd);
    return -error;
  }
  enum kind kind = kind_of(&call->broker->rules, object->real);
  bool in_memory = object->info.st_nlink == 0 && strncmp(object->real, IN_MEMORY, strlen(IN_MEMORY)) == 0;
  if (kind == OUTSIDE && !in_memory && object->real[0] == '/') return 0;
  bool of_kernel = is_of_kernel(fd, &object->anonymous);
  if (in_memory) object->anonymous = true;
  if (!of_kernel && !object->anonymous) object->kind = kind;
  return 0;
}

int object_at(const struct call *call, int start, const char *path, bool follow, uint64_t resolve, struct object *object) {
  return object_from(call, open_how(start, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0, resolve), object);
}

/* LEAVE where there is no such entry that a call could change: the kernel has the right error for it. */
int place_at(const struct call *call, int start, const char *path, uint64_t resolve, struct place *place) {
  char folder[PATH_MAX];
  size_t length = strlen(path);
  place->slash = length > 0 && path[length - 1] == '/';
  while (length > 0 && path[length - 1] == '/') length--;
  size_t begin = length;
  while (begin > 0 && path[begin - 1] != '/') begin--;
  size_t count = length - begin;
  if (count == 0 || count > NAME_MAX) return LEAVE;
  memcpy(place->name, path + begin, count);
  place->name[count] = '\0';
  if (strcmp(place->name, ".") == 0 || strcmp(place->name, "..") == 0) return LEAVE;
  memcpy(folder, path, begin);
  strcpy(folder + begin, begin == 0 ? "." : "");
  place->parent = open_how(start, folder, O_PATH | O_DIRECTORY, 0, resolve);
  if (place->parent < 0) return LEAVE;
  bool anonymous;
  int error = LEAVE;
  size_t parent_length;
  if (!is_of_kernel(place->parent, &anonymous)) {
    error = -ENAMETOOLONG;
    if (real_path(place->parent, place->real)) {
      place->parent_kind = kind_of(&call->broker->rules, place->real);
      parent_length = strlen(place->real);
      if (place->real[0] != '/') error = LEAVE;
      else if (parent_length + 1 + count < PATH_MAX) {
        if (parent_length > 1) place->real[parent_length++] = '/';
        strcpy(place->real + parent_length, place->name);
        place->kind = rules_kind(&call->broker->rules, place->real);
        /* The kernel's own rules for such a path apply again. */
        if (place->slash) strcpy(place->name + count, "/");
        return 0;
      }
    }
  }
  close(place->parent);
  return error;
}
