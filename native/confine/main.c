/* The launcher's order of things. Everything that can fail does so before there is a command. */
#include "broker.h"
#include "calls.h"
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a terminal or a careless group signal could send: the launcher has to outlive the command. */
static void ignore_signals(void) {
  static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU,
                                SIGXFSZ};
  for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) signal(ignored[i], SIG_IGN);
}

static bool prepare(struct spec *spec, struct failure *failure) {
  fcntl(SPEC_FD, F_SETFD, FD_CLOEXEC);
  fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
  if (!spec_read(spec, failure)) return false;
  for (int fd = 0; spec->streams_aside && fd < 3; fd++) {
    if (dup2(ASIDE_FD + fd, fd) < 0) return fail(failure, STAGE_SETUP, errno, NULL);
  }
  /* Descriptors that were passed by mistake must not live on, not even here. */
  if (syscall(SYS_close_range, STATUS_FD + 1, ~0U, 0U) != 0) return fail(failure, STAGE_SETUP, errno, NULL);
  if (!expect_check(spec, failure) || !privileges_drop(spec->confine_writes, failure)) return false;
  close(SPEC_FD);
  if (!spec->standalone) return true;
  /* The end of the executor is seen on the status socket; to be killed then would leave the command's descendants behind. */
  if (prctl(PR_SET_PDEATHSIG, 0) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return fail(failure, STAGE_SETUP, errno, NULL);
  }
  return landlock_scope(failure);
}

/* The output of the command ends when its own processes have closed it. */
static bool let_go_of_streams(void) {
  int none = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) {
    if (none >= 0) dup2(none, fd);
    else close(fd);
  }
  if (none > 2) close(none);
  return true;
}

int main(int argc, char **argv) {
  /* Whether it can be run at all where it is. */
  if (argc == 2 && strcmp(argv[1], "--probe") == 0) return 0;
  if (argc == 2 && strcmp(argv[1], "--probe-broker") == 0) return broker_works() ? 0 : 1;
  struct spec spec = {0};
  struct failure failure = {0};
  int channel[2];
  ignore_signals();
  if (!prepare(&spec, &failure)) {
    status_failed(&failure);
    return 127;
  }
  /* SIGCHLD is read from a descriptor. Blocked before the fork, so that none is lost. */
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  pid_t launcher = getpid(), command = -1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0) command = fork();
  if (command < 0) {
    fail(&failure, STAGE_SETUP, errno, NULL);
    status_failed(&failure);
    return 127;
  }
  if (command == 0) {
    close(channel[0]);
    command_become(&spec, channel[1], launcher, &failure);
    while (write(channel[1], &failure, sizeof failure) < 0 && errno == EINTR) {
    }
    _exit(127);
  }
  /* From here on nobody but the kernel and root may look into this process. */
  prctl(PR_SET_DUMPABLE, 0);
  close(channel[1]);
  let_go_of_streams();
  return supervise(&spec, command, channel[0]);
}
