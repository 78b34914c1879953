/*
 * The rules of the broker, as real paths. The nearest rule at or above a path counts. Comparing names is exact only where
 * different names are different files, so that file systems that may ignore case are refused.
 */
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef FS_CASEFOLD_FL
#define FS_CASEFOLD_FL 0x40000000
#endif
#define XFS_MAGIC 0x58465342
#define RAM_MAGIC 0x858458f6

static bool is_below(const char *path, const char *ancestor, size_t length) {
  if (length == 1) return true; /* the root */
  return strncmp(path, ancestor, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

enum kind rules_kind(const struct rules *rules, const char *path) {
  enum kind kind = OUTSIDE;
  size_t nearest = 0;
  if (path[0] != '/') return OUTSIDE;
  for (size_t i = 0; i < rules->count; i++) {
    const struct rule *rule = &rules->items[i];
    if (rule->length < nearest || !is_below(path, rule->path, rule->length)) continue;
    /* Of two for one path the stricter one counts. Where Landlock allows writes the broker could not forbid them. */
    if (rule->length > nearest || rule->kind == PROTECTED || (rule->kind == NATIVE && kind != PROTECTED)) kind = rule->kind;
    nearest = rule->length;
  }
  return kind;
}

bool rules_at_or_below(const struct rules *rules, const char *path) {
  size_t length = strlen(path);
  for (size_t i = 0; i < rules->count; i++) {
    if (is_below(rules->items[i].path, path, length)) return true;
  }
  return false;
}

static bool add(struct rules *rules, const char *path, enum kind kind) {
  struct rule *items = realloc(rules->items, (rules->count + 1) * sizeof *items);
  if (items == NULL) return false;
  rules->items = items;
  char *copy = strdup(path);
  if (copy == NULL) return false;
  size_t length = strlen(copy);
  while (length > 1 && copy[length - 1] == '/') copy[--length] = '\0';
  items[rules->count++] = (struct rule){.path = copy, .length = length, .kind = kind};
  return true;
}

static bool names_are_exact(const char *path) {
  char ancestor[PATH_MAX];
  struct statfs info;
  int flags = 0, fd;
  strcpy(ancestor, path);
  /* The nearest directory that is there. */
  while ((fd = open(ancestor, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
    if (errno == EACCES) break;
    char *slash = strrchr(ancestor, '/');
    if (slash == NULL || ancestor[1] == '\0') return false;
    slash[slash == ancestor] = '\0';
  }
  bool known = fd >= 0 ? fstatfs(fd, &info) == 0 : statfs(ancestor, &info) == 0;
  if (fd >= 0) {
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) flags = 0;
    close(fd);
  }
  if (!known || (flags & FS_CASEFOLD_FL) != 0) return false;
  switch ((uint32_t)info.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case RAM_MAGIC:
    case OVERLAYFS_SUPER_MAGIC: return true;
    default: return false;
  }
}

/* What a granted path really is. It has to be there. */
static bool add_granted(struct rules *rules, const struct list *paths, enum kind kind, struct failure *failure) {
  for (size_t i = 0; i < paths->count; i++) {
    char real[PATH_MAX];
    int fd = open_granted(paths->items[i]);
    if (fd < 0) return fail(failure, STAGE_SETUP, errno, paths->items[i]);
    bool known = real_path(fd, real) && real[0] == '/';
    close(fd);
    if (!known || !add(rules, real, kind)) return fail(failure, STAGE_SETUP, EINVAL, paths->items[i]);
  }
  return true;
}

/* What a protected path is called, and what it really is if it is there. Nothing that Landlock allows may be above it. */
static bool add_protected(struct rules *rules, const struct spec *spec, struct failure *failure) {
  for (size_t i = 0; i < spec->broker_protect.count; i++) {
    char real[PATH_MAX], *path = spec->broker_protect.items[i];
    if (strstr(path, "/../") != NULL || strstr(path, "/./") != NULL || strstr(path, "//") != NULL) {
      return fail(failure, STAGE_SETUP, EINVAL, path);
    }
    int fd = open(path, O_PATH | O_CLOEXEC);
    bool exists = fd >= 0 && real_path(fd, real);
    if (fd >= 0) close(fd);
    if (!add(rules, path, PROTECTED) || (exists && strcmp(real, path) != 0 && !add(rules, real, PROTECTED))) {
      return fail(failure, STAGE_SETUP, ENOMEM, NULL);
    }
    if (!names_are_exact(path)) return fail(failure, STAGE_SETUP, EOPNOTSUPP, path);
  }
  for (size_t i = 0; i < rules->count; i++) {
    for (size_t j = 0; j < rules->count; j++) {
      const struct rule *native = &rules->items[i], *inner = &rules->items[j];
      if (native->kind == NATIVE && inner->kind == PROTECTED && is_below(inner->path, native->path, native->length)) {
        return fail(failure, STAGE_SETUP, EINVAL, inner->path);
      }
    }
  }
  return true;
}

/* The broker opens for reading and writing, so that it must not write where the command may not read. */
static bool check_readable(const struct rules *rules, const struct spec *spec, struct failure *failure) {
  struct rules readable = {0};
  if (!spec->confine_reads) return true;
  if (!add_granted(&readable, &spec->landlock_read, NATIVE, failure)) return false;
  for (size_t i = 0; i < rules->count; i++) {
    const struct rule *rule = &rules->items[i];
    if (rule->kind == BROKERED && rules_kind(&readable, rule->path) != NATIVE) {
      return fail(failure, STAGE_SETUP, EINVAL, rule->path);
    }
  }
  return true;
}

bool rules_build(struct rules *rules, const struct spec *spec, struct failure *failure) {
  return add_granted(rules, &spec->landlock_write, NATIVE, failure) &&
         add_granted(rules, &spec->broker_write, BROKERED, failure) && add_protected(rules, spec, failure) &&
         check_readable(rules, spec, failure);
}
