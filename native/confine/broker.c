/*
 * Takes the command's calls one after the other. Only the broker changes what is in its directories, so that between its look
 * and its deed the command can move nothing. A call that has to wait for somebody else waits aside.
 */
#include "calls.h"
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Wakes the other side on this processor: a call is a conversation, and neither works while the other does. */
#define SET_FLAGS SECCOMP_IOW(4, uint64_t)
#define SYNC_WAKE_UP 1ULL
#define ADDFD_SEND 2U
/* Milliseconds until a FIFO is tried again. */
#define WAIT_MS 10

static const char probe[] = "can be read";

bool needs_broker(const struct spec *spec) { return spec->standalone; }

/* The kernel, a container or a policy may forbid to look into the command; it would then be refused everything. */
static bool can_look(const struct broker *broker, pid_t command) {
  char copy[sizeof probe];
  struct call call = {.broker = (struct broker *)broker, .tid = command};
  int folder = caller_directory(&call, AT_FDCWD);
  if (folder < 0 || caller_read(&call, (uintptr_t)probe, copy, sizeof copy) != 0) return false;
  close(folder);
  return memcmp(copy, probe, sizeof probe) == 0;
}

bool broker_works(void) {
  struct failure failure = {0};
  struct broker broker = {.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  int channel[2];
  if (broker.proc < 0 || !privileges_drop(true, &failure) || !landlock_scope(&failure)) return false;
  if (pipe2(channel, O_CLOEXEC) != 0) return false;
  pid_t command = fork();
  if (command == 0) {
    /* Until the other side has looked, or is gone. */
    close(channel[1]);
    _exit(read(channel[0], &(char){0}, 1) == 0 ? 0 : 1);
  }
  bool works = command > 0 && can_look(&broker, command);
  close(channel[0]);
  close(channel[1]);
  if (command > 0) waitpid(command, NULL, 0);
  return works;
}

struct broker *broker_open(const struct spec *spec, int listener, pid_t command, struct failure *failure) {
  struct seccomp_notif_sizes sizes;
  struct broker *broker = calloc(1, sizeof *broker);
  if (broker == NULL || syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0 ||
      sizes.seccomp_notif > sizeof(struct seccomp_notif) + 64 || sizes.seccomp_notif_resp > sizeof(struct seccomp_notif_resp) + 64) {
    fail(failure, STAGE_SETUP, ENOSYS, NULL);
    return NULL;
  }
  broker->spec = spec;
  broker->listener = listener;
  ioctl(listener, SET_FLAGS, SYNC_WAKE_UP);
  broker->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (broker->proc < 0) {
    fail(failure, STAGE_SETUP, errno, "/proc");
    return NULL;
  }
  if (!rules_build(&broker->rules, spec, failure)) return NULL;
  if (!can_look(broker, command)) {
    fail(failure, STAGE_SETUP, EPERM, "/proc");
    return NULL;
  }
  return broker;
}

int broker_listener(const struct broker *broker) { return broker == NULL ? -1 : broker->listener; }
unsigned long broker_denials(const struct broker *broker) { return broker == NULL ? 0 : broker->denials; }
int broker_wait(const struct broker *broker) { return broker == NULL || broker->waiting_count == 0 ? -1 : WAIT_MS; }

long refuse(const struct call *call, int error) {
  call->broker->denials++;
  return -error;
}

static void reply(const struct call *call, long result) {
  union {
    struct seccomp_notif_resp response;
    char room[sizeof(struct seccomp_notif_resp) + 64];
  } answer;
  memset(&answer, 0, sizeof answer);
  answer.response.id = call->id;
  if (result == LEAVE) answer.response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  else if (result < 0) answer.response.error = (int)result;
  else answer.response.val = result;
  /* It fails when the caller is gone, and then nobody waits. */
  ioctl(call->broker->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

long hand_out(const struct call *call, int fd, bool close_on_exec) {
  struct seccomp_notif_addfd adding = {
      .id = call->id,
      .flags = ADDFD_SEND,
      .srcfd = (uint32_t)fd,
      .newfd_flags = close_on_exec ? O_CLOEXEC : 0,
  };
  int added = ioctl(call->broker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &adding);
  int error = errno;
  close(fd);
  return added < 0 ? -error : ANSWERED;
}

long wait_for_reader(const struct call *call, struct object *object, int flags) {
  struct broker *broker = call->broker;
  if (broker->waiting_count == WAITING_LIMIT) {
    close(object->fd);
    return refuse(call, ENFILE);
  }
  broker->waiting[broker->waiting_count++] = (struct waiting){.id = call->id, .object = object->fd, .flags = flags};
  return WAIT;
}

/* Without blocking until it works; then the descriptor is made to block, as it was asked for. */
static void try_waiting(struct broker *broker) {
  size_t kept = 0;
  for (size_t i = 0; i < broker->waiting_count; i++) {
    struct waiting one = broker->waiting[i];
    struct call call = {.broker = broker, .id = one.id};
    char name[32];
    long result = -ENOENT;
    if (caller_waits(&call)) {
      proc_name(name, one.object);
      int fd = open(name, (one.flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_NONBLOCK | O_CLOEXEC);
      if (fd < 0 && errno == ENXIO) {
        broker->waiting[kept++] = one;
        continue;
      }
      result = -errno;
      if (fd >= 0 && fcntl(fd, F_SETFL, one.flags & (O_APPEND | O_DIRECT | O_NOATIME | O_ASYNC)) != 0) {
        result = -errno;
        close(fd);
      } else if (fd >= 0) result = hand_out(&call, fd, (one.flags & O_CLOEXEC) != 0);
    }
    close(one.object);
    if (result != ANSWERED) reply(&call, result);
  }
  broker->waiting_count = kept;
}

static long perform(struct call *call) {
  switch (call->number) {
#ifdef __x86_64__
    case SYS_open:
    case SYS_creat:
#endif
    case SYS_openat:
    case SYS_openat2: return call_open(call);
#ifdef __x86_64__
    case SYS_mkdir:
    case SYS_mknod:
    case SYS_symlink:
#endif
    case SYS_mkdirat:
    case SYS_mknodat:
    case SYS_symlinkat: return call_make(call);
#ifdef __x86_64__
    case SYS_unlink:
    case SYS_rmdir:
#endif
    case SYS_unlinkat: return call_remove(call);
#ifdef __x86_64__
    case SYS_rename:
#endif
#ifdef SYS_renameat
    case SYS_renameat:
#endif
    case SYS_renameat2: return call_rename(call);
#ifdef __x86_64__
    case SYS_link:
#endif
    case SYS_linkat: return call_link(call);
    case SYS_truncate: return call_truncate(call);
    default: return call_attributes(call);
  }
}

void broker_serve(struct broker *broker, int events) {
  union {
    struct seccomp_notif request;
    char room[sizeof(struct seccomp_notif) + 64];
  } received;
  if (broker == NULL) return;
  if (broker->waiting_count > 0) try_waiting(broker);
  if ((events & POLLIN) == 0) {
    /* Nobody is left who could call. */
    if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
      close(broker->listener);
      broker->listener = -1;
    }
    return;
  }
  memset(&received, 0, sizeof received);
  if (ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_RECV, &received) != 0) return;
  uint64_t args[6];
  for (int i = 0; i < 6; i++) args[i] = received.request.data.args[i];
  struct call call = {
      .broker = broker,
      .id = received.request.id,
      .tid = (pid_t)received.request.pid,
      .number = received.request.data.nr,
      .args = args,
  };
  long result = perform(&call);
  if (result != ANSWERED && result != WAIT) reply(&call, result);
}
