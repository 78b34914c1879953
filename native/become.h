/* What a child does before it becomes a program: the same for the addon and for the launcher. All of it is async-signal-safe. */
#ifndef EXEC_SERVER_BECOME_H
#define EXEC_SERVER_BECOME_H

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static inline void reset_signals(void) {
  struct sigaction standard;
  memset(&standard, 0, sizeof standard);
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) {
    if (signal != SIGKILL && signal != SIGSTOP) sigaction(signal, &standard, NULL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Becomes the first candidate that can be executed; returns with errno when there is none. `script_args` are the arguments of a shell
 * whose second one is left open: for a program that is a script without an interpreter line.
 */
static inline void try_programs(char *const *candidates, size_t count, char **args, char **script_args, char **env) {
  int denied = 0;
  for (size_t i = 0; i < count; i++) {
    execve(candidates[i], args, env);
    if (errno == ENOEXEC) {
      script_args[1] = candidates[i];
      execve("/bin/sh", script_args, env);
    }
    if (errno == EACCES) denied = EACCES;
    else if (errno != ENOENT && errno != ENOTDIR) return;
  }
  if (denied != 0) errno = denied;
}

#endif
