/*
 * Many at once: threads that each make, move, link and remove files of their own while a timer interrupts them, and then
 * processes that do the same. No call may fail or be done twice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 32
#define PROCESSES 200

static int failures;

static void check(const char *what, int result) {
  if (result >= 0) return;
  if (__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) < 5) fprintf(stderr, "%s: %s\n", what, strerror(errno));
}

static void turn(const char *folder) {
  char a[128], b[128], text[16] = "";
  snprintf(a, sizeof a, "%s/a", folder);
  snprintf(b, sizeof b, "%s/b", folder);
  int fd = open(a, O_CREAT | O_EXCL | O_RDWR, 0600);
  check("open", fd);
  check("write", (int)write(fd, "mine", 4));
  check("fchmod", fchmod(fd, 0640));
  check("read", pread(fd, text, 4, 0) == 4 && strcmp(text, "mine") == 0 ? 0 : -1);
  close(fd);
  check("link", link(a, b));
  check("unlink", unlink(a));
  check("rename", rename(b, a));
  check("chmod", chmod(a, 0600));
  check("unlink again", unlink(a));
}

static void *work(void *argument) {
  char folder[64];
  snprintf(folder, sizeof folder, "thread-%ld", (long)argument);
  check("mkdir", mkdir(folder, 0700));
  for (int i = 0; i < 20; i++) turn(folder);
  check("rmdir", rmdir(folder));
  return NULL;
}

static void wake(int signal) { (void)signal; }

int main(void) {
  pthread_t threads[THREADS];
  struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
  signal(SIGALRM, wake);
  setitimer(ITIMER_REAL, &often, NULL);
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  setitimer(ITIMER_REAL, &never, NULL);
  for (int i = 0; i < PROCESSES; i++) {
    if (fork() == 0) {
      char folder[64];
      failures = 0;
      snprintf(folder, sizeof folder, "process-%d", i);
      check("mkdir", mkdir(folder, 0700));
      for (int j = 0; j < 2; j++) turn(folder);
      check("rmdir", rmdir(folder));
      _exit(failures == 0 ? 0 : 1);
    }
  }
  int status;
  while (wait(&status) > 0) failures += status != 0;
  printf("failures %d\n", failures);
  return 0;
}
