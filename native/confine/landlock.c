/*
 * Landlock. Beside mounts it is a second layer for writes. On its own it handles reads and writes, and needs to keep signals
 * and abstract sockets inside as well (ABI 6). Older kernel headers lack part of the names, so all of them are our own.
 */
#include "calls.h"
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RIGHT(bit) (1ULL << (bit))
#define EXECUTE RIGHT(0)
#define WRITE_FILE RIGHT(1)
#define READ_FILE RIGHT(2)
#define READ_DIR RIGHT(3)
/* Removing and making entries of all kinds: bits 4 to 12. */
#define CHANGE_DIR 0x1ff0ULL
#define REFER RIGHT(13)
#define TRUNCATE RIGHT(14)
#define IOCTL_DEV RIGHT(15)

#define READS (EXECUTE | READ_FILE | READ_DIR)
#define OF_FILES (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV)
#define SCOPE_ABSTRACT_SOCKET 1ULL
#define SCOPE_SIGNAL 2ULL
#define STANDALONE_ABI 6
#define RULE_PATH_BENEATH 1

struct ruleset {
  uint64_t files, network, scope;
};
struct beneath {
  uint64_t rights;
  int32_t parent;
} __attribute__((packed));

static int abi(void) {
  long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
  return version < 0 ? 0 : (int)version;
}

static int create(const struct ruleset *ruleset, int version) {
  /* The member for scopes came with ABI 6, the one for networks with 4. */
  size_t size = version >= STANDALONE_ABI ? sizeof *ruleset : sizeof ruleset->files;
  return (int)syscall(SYS_landlock_create_ruleset, ruleset, size, 0);
}

static bool enforce(int ruleset, struct failure *failure) {
  bool done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  int error = errno;
  close(ruleset);
  return done || fail(failure, STAGE_SETUP, error, NULL);
}

/*
 * The executor has resolved the links of a path when it planned. One that is there now would lead elsewhere than planned,
 * but for those that no command can exchange.
 */
int open_granted(const char *path) {
  static const char *const fixed[] = {"/dev/", "/proc/self/fd/"};
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
  long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  for (size_t i = 0; fd < 0 && errno == ELOOP && i < sizeof fixed / sizeof fixed[0]; i++) {
    if (strncmp(path, fixed[i], strlen(fixed[i])) == 0) return open(path, O_PATH | O_CLOEXEC);
  }
  return (int)fd;
}

static bool grant(int ruleset, const struct list *paths, uint64_t rights, struct failure *failure) {
  for (size_t i = 0; i < paths->count; i++) {
    const char *path = paths->items[i];
    struct stat info;
    int fd = open_granted(path);
    if (fd < 0) return fail(failure, STAGE_SETUP, errno, path);
    bool known = fstat(fd, &info) == 0;
    struct beneath rule = {.rights = known && S_ISDIR(info.st_mode) ? rights : rights & OF_FILES, .parent = fd};
    bool added = known && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
    int error = errno;
    close(fd);
    if (!added) return fail(failure, STAGE_SETUP, error, path);
  }
  return true;
}

bool landlock_confine(const struct spec *spec, struct failure *failure) {
  if (!spec->confine_writes) return true;
  int version = abi();
  if (version < (spec->standalone ? STANDALONE_ABI : 1)) return fail(failure, STAGE_SETUP, ENOSYS, NULL);
  uint64_t writes = WRITE_FILE | CHANGE_DIR;
  if (version >= 2) writes |= REFER;
  if (version >= 3) writes |= TRUNCATE;
  /* Under bubblewrap /dev has nothing that would need it, and a terminal's own control must work. */
  if (version >= 5 && spec->standalone) writes |= IOCTL_DEV;
  uint64_t reads = spec->confine_reads ? READS : 0;
  struct ruleset rules = {
      .files = writes | reads,
      .scope = version >= STANDALONE_ABI ? SCOPE_SIGNAL | SCOPE_ABSTRACT_SOCKET : 0,
  };
  int ruleset = create(&rules, version);
  if (ruleset < 0) return fail(failure, STAGE_SETUP, errno, NULL);
  if (!grant(ruleset, &spec->landlock_read, reads, failure) || !grant(ruleset, &spec->landlock_write, writes, failure)) {
    close(ruleset);
    return false;
  }
  return enforce(ruleset, failure);
}

bool landlock_scope(struct failure *failure) {
  int version = abi();
  if (version < STANDALONE_ABI) return fail(failure, STAGE_SETUP, ENOSYS, NULL);
  struct ruleset rules = {.scope = SCOPE_SIGNAL};
  int ruleset = create(&rules, version);
  if (ruleset < 0) return fail(failure, STAGE_SETUP, errno, NULL);
  if (!enforce(ruleset, failure)) return false;
  /* The executor is outside. Could it be reached, then a signal to all would be one to all of this user's processes. */
  return kill(getppid(), 0) != 0 || fail(failure, STAGE_SETUP, EPERM, NULL);
}
