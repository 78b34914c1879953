/*
 * Reads the specification: NUL-terminated strings, a key and its value in turn. Anything that is not understood is an error,
 * because what it asks for would not be enforced.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes. Arguments and variables are bounded by the kernel far below. */
#define SPEC_LIMIT (16 << 20)

bool fail(struct failure *failure, enum stage stage, int error, const char *detail) {
  failure->stage = stage;
  failure->error = error;
  size_t length = detail == NULL ? 0 : strnlen(detail, sizeof failure->detail - 1);
  if (length > 0) memcpy(failure->detail, detail, length);
  failure->detail[length] = '\0';
  return false;
}

static bool is_sealed(void) {
  const int needed = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  int seals = fcntl(SPEC_FD, F_GET_SEALS);
  return seals >= 0 && (seals & needed) == needed;
}

/* The whole file, or NULL. */
static char *load(size_t *length) {
  struct stat info;
  if (!is_sealed() || fstat(SPEC_FD, &info) != 0 || info.st_size <= 0 || info.st_size > SPEC_LIMIT) return NULL;
  char *bytes = malloc((size_t)info.st_size);
  if (bytes == NULL) return NULL;
  for (off_t done = 0; done < info.st_size;) {
    ssize_t count = pread(SPEC_FD, bytes + done, (size_t)(info.st_size - done), done);
    if (count <= 0) return NULL;
    done += count;
  }
  *length = (size_t)info.st_size;
  return bytes[*length - 1] == '\0' ? bytes : NULL;
}

static bool add(struct list *list, char *value) {
  /* Grows by doubling; at counts one below a power of two there is no room left. */
  if (list->count == 0 || (list->count & (list->count + 1)) == 0) {
    char **items = realloc(list->items, (2 * list->count + 2) * sizeof *items);
    if (items == NULL) return false;
    list->items = items;
  }
  list->items[list->count++] = value;
  list->items[list->count] = NULL;
  return true;
}

static bool is_one(const char *value) { return strcmp(value, "1") == 0; }

static bool take_path(struct list *list, char *value) { return value[0] == '/' && strlen(value) < PATH_MAX && add(list, value); }

static bool take(struct spec *spec, const char *key, char *value) {
  if (strcmp(key, "candidate") == 0) return value[0] != '\0' && add(&spec->candidates, value);
  if (strcmp(key, "arg") == 0) return add(&spec->args, value);
  if (strcmp(key, "env") == 0) return add(&spec->env, value);
  if (strcmp(key, "expect") == 0) return add(&spec->expect, value);
  if (strcmp(key, "rlimit") == 0) return add(&spec->rlimits, value);
  if (strcmp(key, "landlock-read") == 0) return take_path(&spec->landlock_read, value);
  if (strcmp(key, "landlock-write") == 0) return take_path(&spec->landlock_write, value);
  if (strcmp(key, "broker-write") == 0) return take_path(&spec->broker_write, value);
  if (strcmp(key, "broker-protect") == 0) return take_path(&spec->broker_protect, value);
  if (strcmp(key, "streams-aside") == 0) return spec->streams_aside = is_one(value);
  if (strcmp(key, "tty") == 0) return spec->tty = is_one(value);
  if (strcmp(key, "landlock") == 0) return spec->confine_writes = is_one(value);
  if (strcmp(key, "landlock-reads") == 0) return spec->confine_reads = is_one(value);
  if (strcmp(key, "cwd") == 0) {
    bool first = spec->cwd == NULL;
    spec->cwd = value;
    return first && value[0] != '\0';
  }
  if (strcmp(key, "seccomp") == 0) {
    bool first = spec->filter == FILTER_NONE;
    if (strcmp(value, "base") == 0) spec->filter = FILTER_BASE;
    else if (strcmp(value, "network") == 0) spec->filter = FILTER_NETWORK;
    else return false;
    return first;
  }
  return false;
}

static bool complete(struct spec *spec) {
  if (spec->cwd == NULL || spec->args.count == 0 || spec->candidates.count == 0) return false;
  if (spec->env.items == NULL && (spec->env.items = calloc(1, sizeof(char *))) == NULL) return false;
  if (spec->landlock_read.count > 0) spec->confine_reads = true;
  if (spec->landlock_write.count > 0 || spec->broker_write.count > 0 || spec->confine_reads) spec->confine_writes = true;
  /* Inside of a new namespace of processes the launcher is the first of them, and mounts do what the broker would. */
  spec->standalone = spec->confine_writes && getpid() != 1;
  if (!spec->standalone) return spec->broker_write.count == 0 && spec->broker_protect.count == 0;
  if (spec->filter == FILTER_NONE) spec->filter = FILTER_BASE;
  return true;
}

bool spec_read(struct spec *spec, struct failure *failure) {
  size_t length = 0;
  char *bytes = load(&length);
  if (bytes == NULL) return fail(failure, STAGE_SETUP, EINVAL, NULL);
  for (char *next = bytes, *end = bytes + length; next < end;) {
    char *key = next, *value = key + strlen(key) + 1;
    if (value >= end) return fail(failure, STAGE_SETUP, EINVAL, NULL);
    if (!take(spec, key, value)) return fail(failure, STAGE_SETUP, EINVAL, NULL);
    next = value + strlen(value) + 1;
  }
  return complete(spec) || fail(failure, STAGE_SETUP, EINVAL, NULL);
}
