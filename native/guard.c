/*
 * What stands between the executor and its children when things go wrong: the reaper (reaper.c), which is told of each child; the
 * out-of-memory score that children get; and the count of free descriptors.
 */
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Points out of 1000 that a child is likelier to be killed than the executor when memory runs out. */
enum { CHILD_OOM_POINTS = 200, MOST_OOM_POINTS = 1000 };

/* The executor's end of the socket; -1 where there is no reaper. */
static int reaper = -1;
/* What a child writes into its oom_score_adj. */
static char oom_score[8];
static size_t oom_score_length;

static void tell_reaper(int32_t record) {
  /* Never waits, and never a signal: the child that calls this has none to spare. */
  if (reaper >= 0) send(reaper, &record, sizeof record, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * Called in the child between vfork and exec: async-signal-safe, and writes nothing of the parent's. `reaped`: what it leaves behind is for
 * the reaper to kill; a launcher of confined commands does that itself, and must live to do it.
 */
void guard_child_started(bool reaped) {
  if (reaped) tell_reaper((int32_t)getpid());
#ifdef __linux__
  if (oom_score_length == 0) return;
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, oom_score, oom_score_length) < 0) {
    /* It keeps the executor's. */
  }
  close(fd);
#endif
}

/* Before the child is reaped: from then on its pid can be somebody else's. */
void guard_child_ends(int pid) { tell_reaper(-(int32_t)pid); }

static void read_oom_score(void) {
#ifdef __linux__
  char text[16] = {0};
  int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return;
  int score = atoi(text) + CHILD_OOM_POINTS;
  if (score > MOST_OOM_POINTS) score = MOST_OOM_POINTS;
  oom_score_length = (size_t)snprintf(oom_score, sizeof oom_score, "%d", score);
#endif
}

/* Runs the reaper with the socket as its standard input and nothing else. Answers 0 or an errno. */
static int run_reaper(char *program, int input) {
  volatile int failure = 0;
  char watched[16]; /* for who looks at a list of processes */
  snprintf(watched, sizeof watched, "%d", (int)getpid());
  char *argv[] = {"exec-server-reaper", watched, NULL}, *environment[] = {NULL};
#ifdef __APPLE__
  pid_t pid = fork();
#else
  pid_t pid = vfork();
#endif
  if (pid == 0) {
    if (dup2(input, 0) < 0) _exit(127);
    execve(program, argv, environment);
    failure = errno;
    _exit(127);
  }
  if (pid < 0) return errno;
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return failure != 0 ? failure : status == 0 ? 0 : ECHILD;
}

/* guardOpen(bytes of the reaper's path with NUL at the end): 0, or -errno. Called once, before the first spawn. */
napi_value native_guard_open(napi_env env, napi_callback_info info) {
  size_t argc = 1, length;
  napi_value argv[1];
  void *path;
  int ends[2];
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_buffer_info(env, argv[0], &path, &length));
  if (length == 0 || ((char *)path)[length - 1] != '\0') return number(env, -EINVAL);
  read_oom_score();
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return number(env, -errno);
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
  setsockopt(ends[0], SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
  int failure = run_reaper(path, ends[1]);
  close(ends[1]);
  if (failure == 0) reaper = ends[0];
  else close(ends[0]);
  return number(env, -failure);
}

/* descriptorsScarce(reserved): 1 when fewer than that are free. The kernel gives out the lowest number that is free. */
napi_value native_descriptors_scarce(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  uint32_t reserved;
  struct rlimit limit;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_uint32(env, argv[0], &reserved));
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return number(env, errno == EMFILE || errno == ENFILE);
  close(fd);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return number(env, 0);
  return number(env, (rlim_t)fd + reserved >= limit.rlim_cur);
}
