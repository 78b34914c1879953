/* What the parts of the broker share. */
#ifndef EXEC_SERVER_CONFINE_BROKER_INTERNAL_H
#define EXEC_SERVER_CONFINE_BROKER_INTERNAL_H

#include "broker.h"

#include <linux/seccomp.h>
#include <sys/stat.h>

/* Calls that wait for the reader of a FIFO, at once. */
#define WAITING_LIMIT 128
/* As the kernel's own bound. */
#define LINKS_LIMIT 40

/* What a path may be used for, by the rule that names it or its nearest ancestor. */
enum kind {
  OUTSIDE,   /* no rule: Landlock forbids writes */
  NATIVE,    /* Landlock allows them */
  BROKERED,  /* Landlock forbids them, the broker performs them */
  PROTECTED, /* read-only, whatever is around it */
};

struct rule {
  char *path;
  size_t length;
  enum kind kind;
};

struct rules {
  struct rule *items;
  size_t count;
};

struct waiting {
  uint64_t id;
  int object;
  int flags;
};

struct broker {
  const struct spec *spec;
  int listener;
  int proc;
  struct rules rules;
  unsigned long denials;
  struct waiting waiting[WAITING_LIMIT];
  size_t waiting_count;
};

/* One call of the command. tid is that of the thread; the arguments cannot change any more, what they point to can. */
struct call {
  struct broker *broker;
  uint64_t id;
  pid_t tid;
  int number;
  const uint64_t *args;
};

/* What a call answers: a result, -errno, or one of these. */
enum {
  LEAVE = -100000, /* the kernel goes on with it: Landlock decides */
  ANSWERED,        /* has been done already */
  WAIT,            /* later */
};

/* An object that is there: a descriptor that only names it. */
struct object {
  int fd;
  struct stat info;
  enum kind kind;
  bool anonymous; /* a pipe, a socket, a file in memory: nobody finds it by a path */
  char real[PATH_MAX];
};

/* An entry of a directory, there or not. */
struct place {
  int parent;
  bool slash; /* the path had a slash behind the name */
  enum kind parent_kind, kind;
  char name[NAME_MAX + 2];
  char real[PATH_MAX]; /* of the entry */
};

/* broker-rules.c */
bool rules_build(struct rules *rules, const struct spec *spec, struct failure *failure);
enum kind rules_kind(const struct rules *rules, const char *path);
/* Some rule names this path or one below it. */
bool rules_at_or_below(const struct rules *rules, const char *path);

/* broker-caller.c: what belongs to the calling thread. Numbers below zero are -errno. */
int caller_read(const struct call *call, uint64_t address, void *target, size_t length);
int caller_text(const struct call *call, uint64_t address, char *target, size_t size);
int caller_descriptor(const struct call *call, int fd);
/* Opened for more than its name. */
bool caller_uses(const struct call *call, int fd);
int caller_directory(const struct call *call, int dirfd);
int caller_umask(const struct call *call, mode_t *mask);
/* It is still there, so that what was read under its number was its own. */
bool caller_waits(const struct call *call);

/* broker-resolve.c */
int open_how(int start, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
bool real_path(int fd, char *target);
/*
 * Where a relative path starts; the caller closes it with `leave_start`. A path that goes on from an own descriptor, as
 * /proc/self/fd/5/name does, becomes the part behind it.
 */
int enter_start(const struct call *call, int dirfd, char *path, uint64_t resolve);
void leave_start(int start);
/* -1 unless the path is one of those that mean an own descriptor, as /dev/stdout does. */
int named_descriptor(const struct call *call, const char *path);
int object_from(const struct call *call, int fd, struct object *object);
int object_at(const struct call *call, int start, const char *path, bool follow, uint64_t resolve, struct object *object);
int place_at(const struct call *call, int start, const char *path, uint64_t resolve, struct place *place);

/* The calls */
long call_open(struct call *call);
long call_make(struct call *call);
long call_remove(struct call *call);
long call_rename(struct call *call);
long call_link(struct call *call);
long call_attributes(struct call *call);
long call_truncate(struct call *call);

/* broker.c */
long refuse(const struct call *call, int error);
/* Gives the caller a copy of the descriptor as the result of its call, and closes ours. */
long hand_out(const struct call *call, int fd, bool close_on_exec);
long wait_for_reader(const struct call *call, struct object *object, int flags);
void proc_name(char target[32], int fd);

#endif
