/* What the specification wants to be so before the command starts: identities of paths, and resource limits. */
#include "confine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* A decimal number that ends with ':'. Leaves *text behind it. */
static bool number_read(const char **text, uint64_t *value) {
  char *end;
  if (**text < '0' || **text > '9') return false;
  errno = 0;
  *value = strtoull(*text, &end, 10);
  if (errno != 0 || (*end != ':' && *end != '\0')) return false;
  *text = *end == ':' ? end + 1 : end;
  return true;
}

/* DEV:INO:PATH. What was planned for is not what is there now: somebody has exchanged it. */
bool expect_check(const struct spec *spec, struct failure *failure) {
  for (size_t i = 0; i < spec->expect.count; i++) {
    const char *path = spec->expect.items[i];
    uint64_t device, inode;
    struct stat info;
    if (!number_read(&path, &device) || !number_read(&path, &inode) || path[0] != '/') {
      return fail(failure, STAGE_SETUP, EINVAL, NULL);
    }
    if (lstat(path, &info) != 0 || info.st_dev != device || info.st_ino != inode) {
      return fail(failure, STAGE_SETUP, ESTALE, path);
    }
  }
  return true;
}

static const struct {
  const char *name;
  int resource;
} resources[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},     {"cpu", RLIMIT_CPU},         {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},     {"memlock", RLIMIT_MEMLOCK}, {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC},
    {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK},
};

static int resource_of(const char *name, size_t length) {
  for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
    if (strlen(resources[i].name) == length && strncasecmp(resources[i].name, name, length) == 0) return resources[i].resource;
  }
  return -1;
}

/* NAME:SOFT:HARD. A limit that is lower already stays: nothing is ever raised. */
bool rlimits_apply(const struct spec *spec, struct failure *failure) {
  for (size_t i = 0; i < spec->rlimits.count; i++) {
    const char *name = spec->rlimits.items[i];
    size_t length = strcspn(name, ":");
    const char *rest = name + length + (name[length] == ':');
    int resource = resource_of(name, length);
    uint64_t soft, hard;
    if (resource < 0 || !number_read(&rest, &soft) || !number_read(&rest, &hard) || *rest != '\0') {
      return fail(failure, STAGE_SETUP, EINVAL, NULL);
    }
    struct rlimit limit;
    bool set = getrlimit(resource, &limit) == 0;
    if (limit.rlim_max > hard) limit.rlim_max = hard;
    if (limit.rlim_cur > soft) limit.rlim_cur = soft;
    if (!set || setrlimit(resource, &limit) != 0) return fail(failure, STAGE_SETUP, errno, NULL);
  }
  return true;
}
