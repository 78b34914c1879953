/*
 * Makes every call on every kind of path, in a fresh directory each time, and prints what came out: the result, and a digest of
 * what is there afterwards. What it prints must not depend on who performs the calls.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

static const char *const paths[] = {
    "missing", "file", "dir", "link-file", "link-dir", "dangling", "loop", "fifo", "full", "file/", "dir/", "missing/", "link-dir/",
    "link-file/", "dangling/", "dir/../file", "./file", "dir//inner", "link-dir/inner", "link-dir/new", ".", "..", "dir/.", "dir/..",
    "", "missing/x", "file/x", "locked/x", "chain", "far", "up", "LONGNAME", "LONGPATH", "ABSOLUTE", "/", "readonly", "/nonexistent/x",
};
#define PATHS (sizeof paths / sizeof paths[0])

static char top[4096], longname[300], longpath[6000], absolute[4200];
static unsigned long checksum;

static const char *real(const char *path) {
  if (strcmp(path, "LONGNAME") == 0) return longname;
  if (strcmp(path, "LONGPATH") == 0) return longpath;
  if (strcmp(path, "ABSOLUTE") == 0) return absolute;
  return path;
}

static void touch(const char *path, mode_t mode) {
  int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, mode);
  if (fd < 0 || write(fd, "text", 4) != 4) exit(3);
  close(fd);
}

static void build(const char *name) {
  if (chdir(top) != 0 || mkdir(name, 0755) != 0 || chdir(name) != 0) exit(2);
  snprintf(absolute, sizeof absolute, "%s/%s/file", top, name);
  touch("file", 0644);
  touch("readonly", 0444);
  mkdir("dir", 0755);
  touch("dir/inner", 0600);
  mkdir("full", 0755);
  mkdir("full/sub", 0755);
  mkdir("locked", 0755);
  symlink("file", "link-file");
  symlink("dir", "link-dir");
  symlink("nowhere", "dangling");
  symlink("loop", "loop");
  symlink("link-file", "chain");
  symlink("dir/made", "far");
  symlink("../outside", "up");
  mkfifo("fifo", 0644);
  chmod("locked", 0);
  /* So that what a call sets stands out against what it leaves. */
  struct timespec old[2] = {{1000, 1}, {2000, 2}};
  utimensat(AT_FDCWD, "file", old, 0);
}

static void mix(const char *text) {
  for (; *text != '\0'; text++) checksum = (checksum ^ (unsigned char)*text) * 1099511628211UL;
}

static void walk(const char *folder, int depth) {
  struct dirent **entries;
  int count = scandir(folder, &entries, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    char path[5000], line[6000], target[4096] = "", value[64] = "";
    struct stat info;
    if (strcmp(entries[i]->d_name, ".") == 0 || strcmp(entries[i]->d_name, "..") == 0) continue;
    snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
    if (lstat(path, &info) != 0) continue;
    if (S_ISLNK(info.st_mode)) readlink(path, target, sizeof target - 1);
    lgetxattr(path, "user.test", value, sizeof value - 1);
    snprintf(line, sizeof line, "%s %o %d %ld %s %s %d\n", path, info.st_mode, S_ISDIR(info.st_mode) ? 0 : (int)info.st_nlink,
             S_ISDIR(info.st_mode) ? 0L : (long)info.st_size, target, value, info.st_mtime < 1000000 ? (int)info.st_mtime : -1);
    mix(line);
    if (getenv("VERBOSE") != NULL) fputs(line, stdout);
    if (S_ISDIR(info.st_mode) && depth < 6) walk(path, depth + 1);
    free(entries[i]);
  }
  if (count >= 0) free(entries);
}

static int number;
static void begin(void) {
  char name[32];
  snprintf(name, sizeof name, "case%d", number++);
  build(name);
}

static void end(const char *what, const char *a, const char *b, long result) {
  int error = errno;
  checksum = 14695981039346656037UL;
  chmod("locked", 0755);
  walk(".", 0);
  if (chdir(top) != 0) exit(4);
  printf("%s %.20s %.20s: %ld, error %d, %lx\n", what, a, b, result < 0 ? -1 : result, result < 0 ? error : 0, checksum);
}

static long describe(int fd) {
  struct stat info;
  if (fd < 0) return -1;
  fstat(fd, &info);
  /* Whether a link may be followed is all that a descriptor does not remember here. */
  long result = (fcntl(fd, F_GETFL) & ~O_NOFOLLOW) | ((long)fcntl(fd, F_GETFD) << 32) | ((long)(info.st_mode & S_IFMT) << 34);
  if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && S_ISREG(info.st_mode) && write(fd, "xy", 2) != 2) result = 0;
  close(fd);
  return result;
}

static const int flags[] = {
    O_WRONLY, O_RDWR, O_WRONLY | O_CREAT, O_RDONLY | O_CREAT, O_WRONLY | O_CREAT | O_EXCL, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC,
    O_WRONLY | O_NOFOLLOW, O_WRONLY | O_CREAT | O_NOFOLLOW, O_RDWR | O_DIRECTORY, O_WRONLY | O_CREAT | O_DIRECTORY, O_PATH | O_WRONLY,
    O_TMPFILE | O_RDWR, O_TMPFILE, O_TMPFILE | O_WRONLY | O_EXCL, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, O_RDWR | O_CREAT | O_SYNC, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
};
#define FLAGS (sizeof flags / sizeof flags[0])

/* Where the path leads out of the writable directory the two must differ: only what is inside is compared. */
static int leaves(const char *path) { return path[0] == '/' || strcmp(path, "..") == 0 || strcmp(path, "dir/..") == 0; }

static void opens(void) {
  for (size_t f = 0; f < FLAGS; f++) {
    for (size_t p = 0; p < PATHS; p++) {
      char name[64];
      if (leaves(paths[p])) continue;
      /* Without a reader this one waits. */
      int extra = strcmp(paths[p], "fifo") == 0 ? O_NONBLOCK : 0;
      snprintf(name, sizeof name, "open-%o", flags[f]);
      begin();
      long result = describe((int)syscall(SYS_openat, AT_FDCWD, real(paths[p]), flags[f] | extra, 04666));
      end(name, paths[p], "", result);
    }
  }
  /* A link to nothing under such a bound is refused: its text alone would leave the bound behind. */
  static const uint64_t resolves[] = {0, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV};
  for (size_t r = 0; r < 6; r++) {
    for (size_t f = 0; f < 5; f += 2) {
      for (size_t p = 0; p < PATHS; p++) {
        char name[64];
        int dangles = strcmp(paths[p], "dangling") == 0 || strcmp(paths[p], "far") == 0 || strcmp(paths[p], "up") == 0;
        if (leaves(paths[p]) || (dangles && (flags[f] & O_CREAT) && resolves[r] != 0)) continue;
        int base = flags[f] | (strcmp(paths[p], "fifo") == 0 ? O_NONBLOCK : 0);
        struct open_how how = {.flags = (uint64_t)base, .mode = base & O_CREAT ? 0640 : 0, .resolve = resolves[r]};
        snprintf(name, sizeof name, "openat2-%lx-%o", (long)resolves[r], flags[f]);
        begin();
        int folder = open(".", O_PATH | O_DIRECTORY);
        long result = describe((int)syscall(SYS_openat2, folder, real(paths[p]), &how, sizeof how));
        int error = errno;
        close(folder);
        errno = error;
        end(name, paths[p], "", result);
      }
    }
  }
}

/* Forms that make no sense, or not to every kernel. */
static void odd_opens(void) {
  static const struct open_how forms[] = {
      {.flags = O_WRONLY, .mode = 0600}, {.flags = O_WRONLY | O_CREAT, .mode = 010000}, {.flags = O_WRONLY | (1ULL << 40)},
      {.flags = O_WRONLY, .resolve = 1ULL << 30}, {.flags = O_WRONLY | 3}, {.flags = O_WRONLY | O_TRUNC, .resolve = 0x20},
      {.flags = O_WRONLY | (1 << 30)}, {.flags = O_RDWR | O_APPEND | O_NOCTTY | O_NOATIME | O_DSYNC},
  };
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    begin();
    long result = describe((int)syscall(SYS_openat2, AT_FDCWD, "file", &forms[i], sizeof forms[i]));
    end("odd", "file", "", result);
    begin();
    result = describe((int)syscall(SYS_openat2, AT_FDCWD, "file", &forms[i], 8));
    end("shorter", "file", "", result);
  }
}

typedef long (*single)(const char *path);
static long do_mkdir(const char *p) { return syscall(SYS_mkdirat, AT_FDCWD, p, 0777); }
static long do_mkdir_sticky(const char *p) { return syscall(SYS_mkdirat, AT_FDCWD, p, 01700); }
static long do_rmdir(const char *p) { return syscall(SYS_unlinkat, AT_FDCWD, p, AT_REMOVEDIR); }
static long do_unlink(const char *p) { return syscall(SYS_unlinkat, AT_FDCWD, p, 0); }
static long do_unlink_flags(const char *p) { return syscall(SYS_unlinkat, AT_FDCWD, p, 0x1000); }
static long do_fifo(const char *p) { return syscall(SYS_mknodat, AT_FDCWD, p, S_IFIFO | 0666, 0); }
static long do_file(const char *p) { return syscall(SYS_mknodat, AT_FDCWD, p, 0666, 0); }
static long do_symlink(const char *p) { return syscall(SYS_symlinkat, "some/where", AT_FDCWD, p); }
static long do_symlink_empty(const char *p) { return syscall(SYS_symlinkat, "", AT_FDCWD, p); }
static long do_truncate(const char *p) { return truncate(p, 2); }
static long do_truncate_negative(const char *p) { return truncate(p, -1); }
static long do_chmod(const char *p) { return syscall(SYS_fchmodat, AT_FDCWD, p, 0751); }
static long do_chmod_nofollow(const char *p) { return syscall(452, AT_FDCWD, p, 0751, AT_SYMLINK_NOFOLLOW); }
static long do_chmod_flags(const char *p) { return syscall(452, AT_FDCWD, p, 0751, 0x20000); }
static long do_chown(const char *p) { return syscall(SYS_fchownat, AT_FDCWD, p, geteuid(), getegid(), 0); }
static long do_chown_other(const char *p) { return syscall(SYS_fchownat, AT_FDCWD, p, 12345, -1, AT_SYMLINK_NOFOLLOW); }
static long do_times(const char *p) {
  struct timespec times[2] = {{3000, 5}, {4000, 6}};
  return syscall(SYS_utimensat, AT_FDCWD, p, times, 0);
}
static long do_times_nofollow(const char *p) {
  struct timespec times[2] = {{0, UTIME_OMIT}, {5000, 6}};
  return syscall(SYS_utimensat, AT_FDCWD, p, times, AT_SYMLINK_NOFOLLOW);
}
static long do_times_now(const char *p) { return syscall(SYS_utimensat, AT_FDCWD, p, NULL, 0); }
static long do_times_bad(const char *p) {
  struct timespec times[2] = {{0, 2000000000}, {5000, 6}};
  return syscall(SYS_utimensat, AT_FDCWD, p, times, 0);
}
static long do_setxattr(const char *p) { return setxattr(p, "user.test", "value", 5, 0); }
static long do_setxattr_create(const char *p) { return setxattr(p, "user.test", "", 0, XATTR_REPLACE); }
static long do_setxattr_trusted(const char *p) { return setxattr(p, "trusted.test", "value", 5, 0); }
static long do_setxattr_empty(const char *p) { return setxattr(p, "", "value", 5, 0); }
static long do_lsetxattr(const char *p) { return lsetxattr(p, "user.test", "other", 5, XATTR_CREATE); }
static long do_removexattr(const char *p) { return removexattr(p, "user.test"); }
static long do_lremovexattr(const char *p) { return lremovexattr(p, "user.test"); }
#ifdef SYS_open
static long do_creat(const char *p) { return strcmp(p, "fifo") == 0 ? 0 : describe((int)syscall(SYS_creat, p, 0666)); }
static long do_old_open(const char *p) { return describe((int)syscall(SYS_open, p, O_RDWR | O_CREAT, 0600)); }
static long do_old_mkdir(const char *p) { return syscall(SYS_mkdir, p, 0700); }
static long do_old_mknod(const char *p) { return syscall(SYS_mknod, p, S_IFIFO | 0600, 0); }
static long do_old_unlink(const char *p) { return syscall(SYS_unlink, p); }
static long do_old_rmdir(const char *p) { return syscall(SYS_rmdir, p); }
static long do_old_symlink(const char *p) { return syscall(SYS_symlink, "t", p); }
static long do_old_chmod(const char *p) { return syscall(SYS_chmod, p, 0700); }
static long do_old_chown(const char *p) { return syscall(SYS_chown, p, -1, getegid()); }
static long do_old_lchown(const char *p) { return syscall(SYS_lchown, p, -1, getegid()); }
static long do_old_utime(const char *p) { return syscall(SYS_utime, p, &(struct utimbuf){7000, 8000}); }
static long do_old_utimes(const char *p) { return syscall(SYS_utimes, p, (struct timeval[]){{7000, 1}, {8000, 2}}); }
static long do_old_utimes_bad(const char *p) { return syscall(SYS_utimes, p, (struct timeval[]){{7000, 1000000}, {8000, 2}}); }
static long do_old_futimesat(const char *p) { return syscall(SYS_futimesat, AT_FDCWD, p, NULL); }
#endif

#define ROW(name) {#name, name}
static const struct {
  const char *name;
  single call;
} singles[] = {
    ROW(do_mkdir), ROW(do_mkdir_sticky), ROW(do_rmdir), ROW(do_unlink), ROW(do_unlink_flags), ROW(do_fifo), ROW(do_file), ROW(do_symlink),
    ROW(do_symlink_empty), ROW(do_truncate), ROW(do_truncate_negative), ROW(do_chmod), ROW(do_chmod_nofollow), ROW(do_chmod_flags),
    ROW(do_chown), ROW(do_chown_other), ROW(do_times), ROW(do_times_nofollow), ROW(do_times_now), ROW(do_times_bad), ROW(do_setxattr),
    ROW(do_setxattr_create), ROW(do_setxattr_trusted), ROW(do_setxattr_empty), ROW(do_lsetxattr), ROW(do_removexattr), ROW(do_lremovexattr),
#ifdef SYS_open
    ROW(do_creat), ROW(do_old_open), ROW(do_old_mkdir), ROW(do_old_mknod), ROW(do_old_unlink), ROW(do_old_rmdir), ROW(do_old_symlink), ROW(do_old_chmod),
    ROW(do_old_chown), ROW(do_old_lchown), ROW(do_old_utime), ROW(do_old_utimes), ROW(do_old_utimes_bad), ROW(do_old_futimesat),
#endif
};

static void single_calls(void) {
  for (size_t s = 0; s < sizeof singles / sizeof singles[0]; s++) {
    for (size_t p = 0; p < PATHS; p++) {
      if (leaves(paths[p])) continue;
      begin();
      long result = singles[s].call(real(paths[p]));
      end(singles[s].name, paths[p], "", result);
    }
  }
}

static long do_rename(const char *a, const char *b) { return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 0); }
static long do_rename_new(const char *a, const char *b) { return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 1); }
static long do_exchange(const char *a, const char *b) { return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2); }
static long do_link(const char *a, const char *b) { return syscall(SYS_linkat, AT_FDCWD, a, AT_FDCWD, b, 0); }
static long do_link_follow(const char *a, const char *b) { return syscall(SYS_linkat, AT_FDCWD, a, AT_FDCWD, b, AT_SYMLINK_FOLLOW); }

static const struct {
  const char *name;
  long (*call)(const char *, const char *);
} pairs[] = {ROW(do_rename), ROW(do_rename_new), ROW(do_exchange), ROW(do_link), ROW(do_link_follow)};

static void pair_calls(void) {
  static const char *const ends[] = {"missing", "file", "dir", "link-file", "link-dir", "loop", "fifo", "full", "file/", "dir/", "missing/", "link-dir/",
                                     "dir/../file", "link-dir/inner", "link-dir/new", ".", "", "file/x", "locked/x", "LONGNAME", "LONGPATH", "full/sub"};
  size_t count = sizeof ends / sizeof ends[0];
  for (size_t s = 0; s < sizeof pairs / sizeof pairs[0]; s++) {
    for (size_t i = 0; i < count * count; i++) {
      const char *a = ends[i / count], *b = ends[i % count];
      begin();
      long result = pairs[s].call(real(a), real(b));
      end(pairs[s].name, a, b, result);
    }
  }
}

static void descriptor_calls(void) {
  static const int ways[] = {O_RDONLY, O_RDWR, O_PATH};
  for (size_t w = 0; w < 3; w++) {
    for (int call = 0; call < 11; call++) {
      char name[32], own[64];
      struct timespec times[2] = {{3000, 5}, {4000, 6}};
      snprintf(name, sizeof name, "descriptor-%o-%d", ways[w], call);
      begin();
      int fd = open("file", ways[w]);
      snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
      long result = -1;
      switch (call) {
        case 0: result = syscall(SYS_fchmod, fd, 0711); break;
        case 1: result = syscall(SYS_fchown, fd, geteuid(), getegid()); break;
        case 2: result = syscall(SYS_utimensat, fd, NULL, times, 0); break;
        case 3: result = fsetxattr(fd, "user.test", "v", 1, 0); break;
        case 4: result = fremovexattr(fd, "user.test"); break;
        case 5: result = syscall(SYS_fchownat, fd, "", -1, getegid(), AT_EMPTY_PATH); break;
        case 6: result = syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH); break;
        case 7: result = syscall(SYS_linkat, AT_FDCWD, own, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW); break;
        case 8: result = chmod(own, 0701); break;
        case 9: result = describe(open(own, O_WRONLY | O_TRUNC)); break;
        case 10: result = syscall(SYS_fchmod, 999, 0711); break;
      }
      int error = errno;
      close(fd);
      errno = error;
      end(name, "", "", result);
    }
  }
  begin();
  int fd = open(".", O_TMPFILE | O_RDWR, 0640);
  char own[64];
  snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
  (void)!write(fd, "unnamed", 7);
  fchmod(fd, 0604);
  long result = linkat(AT_FDCWD, own, AT_FDCWD, "named", AT_SYMLINK_FOLLOW);
  end("tmpfile", "", "", result);
  close(fd);
  begin();
  fd = open("file", O_RDWR);
  unlink("file");
  result = fchmod(fd, 0600) + ftruncate(fd, 1);
  end("unlinked", "", "", result);
  close(fd);
  begin();
  rmdir("full/sub");
  int folder = open("full", O_RDONLY | O_DIRECTORY);
  rmdir("full");
  result = openat(folder, "x", O_CREAT | O_WRONLY, 0600);
  end("in-removed", "", "", result);
  begin();
  result = mkdirat(folder, "x", 0700);
  end("in-removed", "", "", result);
  begin();
  result = openat(999, "x", O_CREAT | O_WRONLY, 0600);
  end("bad-directory", "", "", result);
  begin();
  result = open((char *)8, O_CREAT | O_WRONLY, 0600);
  end("bad-address", "", "", result);
  begin();
  umask(027);
  result = mkdir("masked", 0777) + describe(open("masked/file", O_CREAT | O_WRONLY, 0666)) + mkfifo("masked/fifo", 0777);
  end("umask", "", "", result);
}

int main(int argc, char **argv) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  if (argc != 2 || syscall(SYS_capset, &header, none) != 0 || chdir(argv[1]) != 0 || getcwd(top, sizeof top) == NULL) return 1;
  umask(022);
  memset(longname, 'n', 256);
  for (int i = 0; i < 2900; i++) memcpy(longpath + 2 * i, "./", 2);
  opens();
  odd_opens();
  single_calls();
  pair_calls();
  descriptor_calls();
  return 0;
}
