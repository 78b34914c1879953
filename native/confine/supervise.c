/*
 * The launcher while the command runs: tells the executor how the start went and how the command ended, reaps what the command
 * leaves behind, and serves the broker's requests. The command stays a zombie until the executor has read its end, so that its
 * pid cannot belong to somebody else by then.
 */
#include "calls.h"
#include "broker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long killed processes may take to go. */
#define KILL_TURNS 200
#define KILL_TURN_MS 10

enum phase { STARTING, RUNNING, ENDED, ACKNOWLEDGED };

struct supervision {
  const struct spec *spec;
  pid_t command;
  enum phase phase;
  int channel;
  int signals;
  int status;
  struct broker *broker;
  bool childless;
};

/*
 * Every process of the sandbox at once. The signal reaches only what shares the launcher's domain of Landlock, which is
 * checked first: should it reach the executor, then it would reach everything of this user.
 */
static void kill_everything(struct supervision *all) {
  if (!all->spec->standalone) return; /* as pid 1: ending does it */
  struct pollfd signals = {.fd = all->signals, .events = POLLIN};
  struct signalfd_siginfo ignored;
  /* They are reaped here, because nobody else may do it; one that the disk holds does not hold this process. */
  for (int turn = 0; turn < KILL_TURNS; turn++) {
    pid_t pid;
    int status;
    if (kill(getppid(), 0) != 0 && errno == EPERM) kill(-1, SIGKILL);
    else if (all->phase < ACKNOWLEDGED) kill(-all->command, SIGKILL);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
      if (pid != all->command) continue;
      all->status = status;
      all->phase = ACKNOWLEDGED;
    }
    if (pid < 0) return;
    poll(&signals, 1, KILL_TURN_MS);
    while (read(all->signals, &ignored, sizeof ignored) > 0) {
    }
  }
}

static long long microseconds(struct timeval time) { return (long long)time.tv_sec * 1000000 + time.tv_usec; }

static int wait_status(const siginfo_t *info) {
  if (info->si_code == CLD_EXITED) return (info->si_status & 0xff) << 8;
  return (info->si_status & 0x7f) | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

static void command_ended(struct supervision *all) {
  siginfo_t info = {0};
  struct rusage usage = {0};
  if (syscall(SYS_waitid, P_PID, all->command, &info, WEXITED | WNOHANG | WNOWAIT, &usage) != 0 || info.si_pid == 0) return;
  all->status = wait_status(&info);
  /* While it is starting, the channel tells first what has become of that. */
  if (all->phase == STARTING) return;
  all->phase = ENDED;
  status_send("exited %d %lld %lld %lu", all->status, microseconds(usage.ru_utime), microseconds(usage.ru_stime),
              broker_denials(all->broker));
}

static void reap(struct supervision *all) {
  struct signalfd_siginfo ignored;
  while (read(all->signals, &ignored, sizeof ignored) > 0) {
  }
  if (all->phase <= RUNNING) command_ended(all);
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
      all->childless = errno == ECHILD;
      return;
    }
    if (info.si_pid == 0 || (info.si_pid == all->command && all->phase != ACKNOWLEDGED)) return;
    waitpid(info.si_pid, NULL, WNOHANG);
  }
}

/* false: nothing was started. */
static bool hear_child(struct supervision *all) {
  struct failure failure;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {.iov_base = &failure, .iov_len = sizeof failure};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t count;
  do {
    count = recvmsg(all->channel, &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof failure) {
    status_failed(&failure);
    return false;
  }
  struct cmsghdr *header = count == 1 ? CMSG_FIRSTHDR(&message) : NULL;
  if (header != NULL && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int listener;
    memcpy(&listener, CMSG_DATA(header), sizeof listener);
    all->broker = broker_open(all->spec, listener, all->command, &failure);
    if (all->broker != NULL && write(all->channel, "", 1) == 1) return true;
    if (all->broker != NULL) fail(&failure, STAGE_SETUP, EPIPE, NULL);
    kill(all->command, SIGKILL);
    status_failed(&failure);
    return false;
  }
  close(all->channel);
  all->channel = -1;
  all->phase = RUNNING;
  status_send("started");
  reap(all);
  return true;
}

/* The executor has read the end of the command, or is gone. */
static bool hear_executor(struct supervision *all) {
  char byte;
  ssize_t count = recv(STATUS_FD, &byte, 1, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (count <= 0) {
    kill_everything(all);
    return false;
  }
  if (all->phase == ENDED) {
    all->phase = ACKNOWLEDGED;
    waitpid(all->command, NULL, WNOHANG);
    reap(all);
  }
  return true;
}

static int exit_status(const struct supervision *all) {
  return WIFSIGNALED(all->status) ? 128 + WTERMSIG(all->status) : WEXITSTATUS(all->status);
}

int supervise(const struct spec *spec, pid_t command, int channel) {
  struct supervision all = {.spec = spec, .command = command, .channel = channel};
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  all.signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  for (;;) {
    struct pollfd ready[] = {
        {.fd = broker_listener(all.broker), .events = POLLIN},
        {.fd = all.channel, .events = POLLIN},
        {.fd = STATUS_FD, .events = POLLIN},
        {.fd = all.signals, .events = POLLIN},
    };
    if (poll(ready, 4, broker_wait(all.broker)) < 0 && errno != EINTR) break;
    if (ready[1].revents != 0 && !hear_child(&all)) return 127;
    broker_serve(all.broker, ready[0].revents);
    if (ready[3].revents != 0) reap(&all);
    if (ready[2].revents != 0 && !hear_executor(&all)) break;
    if (all.phase == ACKNOWLEDGED && (!spec->standalone || all.childless)) break;
  }
  return exit_status(&all);
}
