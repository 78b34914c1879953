/*
 * exec-server-reaper: outlives its executor, to kill what the executor had started when it was killed itself. Standard input is a socket
 * from the executor. Each record is four bytes: the pid of a program that leads a session of its own, or its negative when the program
 * has been reaped. When the socket ends, every process in the sessions that are left gets KILL, round after round until none is there.
 *
 * The executor reaps a program only after it has said so here. So until the executor is gone, a number in the list belongs to nobody
 * else; and a session's number is not given out again while one of its members lives.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

/* Rounds without a rest for what forks faster than it is killed, and nanoseconds of the rest between the later ones. */
enum { QUICK_ROUNDS = 16, MOST_ROUNDS = 2000, REST_NS = 5000000 };

struct leader {
  int32_t pid;
  unsigned long long start; /* in clock ticks after boot; 0 where it is not known */
};

static struct leader *leaders;
static size_t count, room;

#ifdef __linux__
struct stat_line {
  char state;
  int32_t session;
  unsigned long long start;
};

static bool read_stat(int32_t pid, struct stat_line *out) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return false;
  text[length] = '\0';
  /* The name may hold any character: what follows the last parenthesis is regular (proc_pid_stat(5)). */
  char *rest = strrchr(text, ')');
  return rest != NULL && sscanf(rest + 1, " %c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                                &out->state, &out->session, &out->start) == 3;
}
#endif

static void add(int32_t pid) {
  if (count == room) {
    size_t more = room == 0 ? 64 : room * 2;
    struct leader *grown = realloc(leaders, more * sizeof *leaders);
    if (grown == NULL) return;
    leaders = grown;
    room = more;
  }
  unsigned long long start = 0;
#ifdef __linux__
  struct stat_line line;
  if (read_stat(pid, &line)) start = line.start;
#endif
  leaders[count++] = (struct leader){pid, start};
}

static void drop(int32_t pid) {
  for (size_t i = 0; i < count; i++) {
    if (leaders[i].pid != pid) continue;
    leaders[i] = leaders[--count];
    return;
  }
}

#ifdef __linux__
static const struct leader *leader_of(int32_t session) {
  for (size_t i = 0; i < count; i++) {
    if (leaders[i].pid == session) return &leaders[i];
  }
  return NULL;
}

/* Kills a process if it is in a session of the list. The descriptor stands for the process that was looked at, whoever has its pid now. */
static bool kill_member(int32_t pid) {
  struct stat_line line;
  if (!read_stat(pid, &line) || leader_of(line.session) == NULL) return false;
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0 && errno == ESRCH) return false;
  bool ours = read_stat(pid, &line) && line.state != 'Z' && line.state != 'X';
  const struct leader *leader = ours ? leader_of(line.session) : NULL;
  /* A leader of another age has got the number anew. */
  ours = leader != NULL && !(leader->pid == pid && leader->start != 0 && leader->start != line.start);
  if (ours && fd >= 0) ours = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
  else if (ours) ours = kill(pid, SIGKILL) == 0;
  if (fd >= 0) close(fd);
  return ours;
}

/* Answers how many it has killed. */
static int kill_round(void) {
  int killed = 0;
  DIR *proc = opendir("/proc");
  if (proc == NULL) return 0;
  for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
    char *end;
    long pid = strtol(entry->d_name, &end, 10);
    if (*end == '\0' && pid > 1 && pid != getpid()) killed += kill_member((int32_t)pid);
  }
  closedir(proc);
  return killed;
}
#else
static int kill_round(void) {
  int killed = 0;
  for (size_t i = 0; i < count; i++) killed += kill(-leaders[i].pid, SIGKILL) == 0;
  return killed;
}
#endif

static void close_from(unsigned lowest) {
#if defined(__linux__) && defined(SYS_close_range)
  if (syscall(SYS_close_range, lowest, ~0U, 0U) == 0) return;
#endif
  for (int fd = (int)lowest; fd < 1024; fd++) close(fd);
}

/* Leaves the executor's session, and whatever ends that. */
static void withdraw(void) {
  /* What is open would seem to be open in the executor when that is gone. */
  close_from(1);
  /* The parent is waited for at once, so that the executor has no child that it did not start for somebody. */
  pid_t pid = fork();
  if (pid != 0) _exit(pid > 0 ? 0 : 1);
  setsid();
  for (int signal = 1; signal < NSIG; signal++) {
    if (signal != SIGKILL && signal != SIGSTOP && signal != SIGCHLD) sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
  }
#ifdef __linux__
  prctl(PR_SET_NAME, "exec-reaper");
#endif
  if (chdir("/") != 0) _exit(1);
}

int main(void) {
  withdraw();
  int32_t record;
  size_t have = 0;
  for (;;) {
    ssize_t length = read(0, (char *)&record + have, sizeof record - have);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) break;
    have += (size_t)length;
    if (have < sizeof record) continue;
    have = 0;
    if (record > 1) add(record);
    else if (record < -1) drop(-record);
  }
  int quiet = 0;
  for (int round = 0; count > 0 && round < MOST_ROUNDS && quiet < 2; round++) {
    quiet = kill_round() == 0 ? quiet + 1 : 0;
    if (round >= QUICK_ROUNDS || quiet > 0) nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
  }
  return 0;
}
