/*
 * The launcher: starts one command confined and reports on it. It is pid 1 inside of a bubblewrap sandbox, or stands on its
 * own where Landlock is all there is; then it is also the broker that decides about what Landlock cannot express.
 *
 * Descriptors: 0, 1, 2 are the command's, unless they are aside; 3 is the specification, a sealed file; 4 is the socket for the status messages.
 * Whatever fails before the command runs is reported, and nothing has run then.
 */
#ifndef EXEC_SERVER_CONFINE_H
#define EXEC_SERVER_CONFINE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SPEC_FD = 3, STATUS_FD = 4, ASIDE_FD = 5 };

/* A list of strings with a NULL behind it. The strings belong to the specification. */
struct list {
  char **items;
  size_t count;
};

enum filter_level { FILTER_NONE, FILTER_BASE, FILTER_NETWORK };

struct spec {
  struct list candidates, args, env;
  struct list landlock_read, landlock_write, broker_write, broker_protect;
  struct list expect, rlimits;
  const char *cwd;
  bool tty;
  /* The command's streams are ASIDE_FD and the two that follow. */
  bool streams_aside;
  bool confine_writes, confine_reads;
  enum filter_level filter;
  /* Not in the specification: no mounts protect anything here, so that Landlock and the broker have to. */
  bool standalone;
};

/* Why nothing was started. detail is a path, or empty. */
enum stage { STAGE_NONE, STAGE_SETUP, STAGE_CWD, STAGE_EXEC };
struct failure {
  enum stage stage;
  int error;
  char detail[PATH_MAX];
};

/* All answer false and fill in the failure. */
bool fail(struct failure *failure, enum stage stage, int error, const char *detail);
bool spec_read(struct spec *spec, struct failure *failure);
bool expect_check(const struct spec *spec, struct failure *failure);
bool rlimits_apply(const struct spec *spec, struct failure *failure);
bool privileges_drop(bool all, struct failure *failure);
/* Stands for a path of the specification. -1 and errno. */
int open_granted(const char *path);
bool landlock_confine(const struct spec *spec, struct failure *failure);
/* The launcher and all that it starts can send signals to each other only. */
bool landlock_scope(struct failure *failure);
/* *listener is -1 unless the specification needs a broker. */
bool filter_install(const struct spec *spec, int *listener, struct failure *failure);

void status_send(const char *format, ...) __attribute__((format(printf, 1, 2)));
void status_failed(const struct failure *failure);

/* The child: confines itself and becomes the command. Returns only when that has failed. */
void command_become(const struct spec *spec, int channel, pid_t launcher, struct failure *failure);
/* The launcher after the fork: reports, reaps, serves; returns the exit status to end with. */
int supervise(const struct spec *spec, pid_t command, int channel);

bool needs_broker(const struct spec *spec);

#endif
