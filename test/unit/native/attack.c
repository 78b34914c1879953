/*
 * Threads that change under the broker's hands what the calls of other threads are about: the text of a path, a link, a parent,
 * the working directory, a descriptor. The tree `guarded` and the file named second must be as before when it ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char *outside;
static volatile int stop;
static volatile char text[256] = "open/file";
static volatile unsigned long tried, done;
#define SLOT 100

static void count(long result) {
  __atomic_add_fetch(&tried, 1, __ATOMIC_RELAXED);
  if (result >= 0) __atomic_add_fetch(&done, 1, __ATOMIC_RELAXED);
}

static void all_calls(int folder, const char *path) {
  int fd = (int)syscall(SYS_openat, folder, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  count(fd);
  if (fd >= 0) {
    /* What can be had by such a descriptor would show. */
    (void)!write(fd, "attacked", 8);
    close(fd);
  }
  count(syscall(SYS_fchmodat, folder, path, 0777));
  count(syscall(SYS_fchownat, folder, path, -1, getegid(), 0));
  count(syscall(SYS_utimensat, folder, path, NULL, 0));
  if (folder == AT_FDCWD) {
    count(setxattr(path, "user.attack", "1", 1, 0));
    count(truncate(path, 1));
  }
  count(syscall(SYS_linkat, folder, path, AT_FDCWD, "stolen", 0));
  count(syscall(SYS_linkat, folder, path, AT_FDCWD, "stolen", AT_SYMLINK_FOLLOW));
  unlink("stolen");
  count(syscall(SYS_renameat2, folder, path, AT_FDCWD, "moved", 0));
  syscall(SYS_renameat2, AT_FDCWD, "moved", AT_FDCWD, "open/file", 0);
  count(syscall(SYS_unlinkat, folder, path, 0));
}

static void *by_text(void *unused) {
  while (!stop) all_calls(AT_FDCWD, (const char *)text);
  return NULL;
}

static void *change_text(void *unused) {
  char second[256];
  snprintf(second, sizeof second, "%s", outside);
  while (!stop) {
    /* Of equal length, so that half of one and half of the other is a path, too. */
    for (int i = 0; i < 200; i++) memcpy((char *)text, "guarded/file", 13), memcpy((char *)text, "open/file\0\0\0", 13);
    for (int i = 0; i < 200; i++) memcpy((char *)text, second, strlen(second) + 1), memcpy((char *)text, "open/file\0\0\0", 13);
  }
  return NULL;
}

static void *by_link(void *unused) {
  while (!stop) {
    all_calls(AT_FDCWD, "swap/file");
    all_calls(AT_FDCWD, "deep/swap/file");
    count(mkdir("swap/made", 0777));
    count(symlink("x", "swap/linked"));
    count(rename("open", "swap/open"));
    rename("swap/open", "open");
  }
  return NULL;
}

static void *swap_link(void *unused) {
  while (!stop) {
    syscall(SYS_renameat2, AT_FDCWD, "swap", AT_FDCWD, "other", 2);
    syscall(SYS_renameat2, AT_FDCWD, "deep/swap", AT_FDCWD, "deep/other", 2);
    syscall(SYS_renameat2, AT_FDCWD, "deep", AT_FDCWD, "deeper", 0);
    syscall(SYS_renameat2, AT_FDCWD, "deeper", AT_FDCWD, "deep", 0);
  }
  return NULL;
}

static void *by_descriptor(void *unused) {
  while (!stop) {
    all_calls(SLOT, "file");
    count(fchmod(SLOT, 0777));
    count(syscall(SYS_linkat, SLOT + 1, "", AT_FDCWD, "stolen", AT_EMPTY_PATH));
    count(fchmod(SLOT + 1, 0777));
    count(fsetxattr(SLOT + 1, "user.attack", "1", 1, 0));
    count(syscall(SYS_utimensat, SLOT + 1, NULL, NULL, 0));
    int fd = open("/proc/self/fd/101", O_WRONLY | O_TRUNC);
    count(fd);
    if (fd >= 0) {
      (void)!write(fd, "attacked", 8);
      close(fd);
    }
    unlink("stolen");
  }
  return NULL;
}

static void *swap_descriptor(void *unused) {
  int folders[2] = {open("open", O_RDONLY | O_DIRECTORY), open("guarded", O_RDONLY | O_DIRECTORY)};
  int files[2] = {open("target", O_RDONLY), open("guarded/file", O_RDONLY)};
  int foreign = open(outside, O_RDONLY);
  for (int i = 0; !stop; i++) {
    dup2(folders[i & 1], SLOT);
    dup2(i % 3 == 2 ? foreign : files[i & 1], SLOT + 1);
  }
  return NULL;
}

/* A directory of its own, so that the others keep theirs. */
static void *by_directory(void *unused) {
  if (unshare(CLONE_FS) != 0) return NULL;
  pthread_t swapper;
  while (!stop) {
    if (fchdir(SLOT) == 0) {
      count(syscall(SYS_openat, AT_FDCWD, "file", O_WRONLY | O_TRUNC | O_CREAT, 0666));
      count(syscall(SYS_unlinkat, AT_FDCWD, "file", 0));
      count(syscall(SYS_fchmodat, AT_FDCWD, "../guarded/file", 0777));
      count(syscall(SYS_mkdirat, AT_FDCWD, "../guarded/new", 0777));
    }
  }
  (void)swapper;
  return NULL;
}

/* By every name there is for what is guarded. */
static void *plainly(void *unused) {
  static const char *const names[] = {"guarded/file", "./guarded/./file", "open/../guarded/file", "/proc/self/cwd/guarded/file", "to-guarded/file", "to-file", "guarded//file", "/proc/thread-self/cwd/guarded/file"};
  while (!stop) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) all_calls(AT_FDCWD, names[i]);
    count(rename("guarded", "away"));
    count(rename("open", "guarded"));
    count(syscall(SYS_renameat2, AT_FDCWD, "open", AT_FDCWD, "guarded", 2));
    count(rmdir("guarded"));
    count(rename("guarded/file", "guarded/renamed"));
    count(rename("target", "guarded/file"));
    count(link("target", "guarded/linked"));
    count(mknod("guarded/fifo", S_IFIFO | 0666, 0));
    count(open("guarded", O_TMPFILE | O_RDWR, 0666));
    count(symlink("guarded", "missing"));
    count(rmdir("missing"));
  }
  return NULL;
}

int main(int argc, char **argv) {
  void *(*const work[])(void *) = {by_text, by_text, change_text, by_link, swap_link, by_descriptor, swap_descriptor, by_directory, plainly};
  pthread_t threads[9];
  if (argc != 4) return 1;
  outside = argv[2];
  if (chdir(argv[1]) != 0) return 2;
  mkdir("open", 0755);
  mkdir("swap", 0755);
  mkdir("deep", 0755);
  mkdir("deep/swap", 0755);
  symlink("guarded", "other");
  symlink("../guarded", "deep/other");
  symlink("guarded", "to-guarded");
  symlink("guarded/file", "to-file");
  close(open("target", O_CREAT | O_WRONLY, 0644));
  dup2(open("open", O_RDONLY), SLOT);
  for (int i = 0; i < 9; i++) pthread_create(&threads[i], NULL, work[i], NULL);
  struct timespec time = {.tv_sec = atoi(argv[3]) / 1000, .tv_nsec = atoi(argv[3]) % 1000 * 1000000L};
  nanosleep(&time, NULL);
  stop = 1;
  for (int i = 0; i < 9; i++) pthread_join(threads[i], NULL);
  printf("%lu %lu\n", tried, done);
  return 0;
}
