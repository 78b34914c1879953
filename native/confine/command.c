/*
 * The child of the launcher: a session of its own, the terminal, limits, and the confinement, weakest first: each layer may
 * forbid what an earlier one needs. Then it becomes the command.
 */
#include "../become.h"
#include "confine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* By sendmsg: the filter may be in force already, and it forbids the other calls. */
static bool hand_over(int channel, int listener) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof listener)];
  } control;
  char byte = 0;
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  memset(&control, 0, sizeof control);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof listener);
  memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
  ssize_t count;
  do {
    count = sendmsg(channel, &message, MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  close(listener);
  if (count != 1) return false;
  /* Nothing may run before the launcher has said that it can serve. */
  do {
    count = read(channel, &byte, 1);
  } while (count < 0 && errno == EINTR);
  if (count != 1) errno = EPERM;
  return count == 1;
}

void command_become(const struct spec *spec, int channel, pid_t launcher, struct failure *failure) {
  int listener = -1;
  char **script_args = calloc(spec->args.count + 2, sizeof(char *));
  if (script_args == NULL || setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    fail(failure, STAGE_SETUP, errno, NULL);
    return;
  }
  script_args[0] = "/bin/sh";
  for (size_t i = 1; i < spec->args.count; i++) script_args[i + 1] = spec->args.items[i];
  if (getppid() != launcher) _exit(127);
  if (spec->tty && ioctl(0, TIOCSCTTY, 0) != 0) {
    fail(failure, STAGE_SETUP, errno, NULL);
    return;
  }
  if (!rlimits_apply(spec, failure)) return;
  if (chdir(spec->cwd) != 0) {
    fail(failure, STAGE_CWD, errno, NULL);
    return;
  }
  reset_signals();
  status_send("pid");
  if (!landlock_confine(spec, failure) || !filter_install(spec, &listener, failure)) return;
  if (listener >= 0 && !hand_over(channel, listener)) {
    fail(failure, STAGE_SETUP, errno, NULL);
    return;
  }
  try_programs(spec->candidates.items, spec->candidates.count, spec->args.items, script_args, spec->env.items);
  fail(failure, STAGE_EXEC, errno, NULL);
}
