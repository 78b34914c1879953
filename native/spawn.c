/*
 * spawn(spec): starts one program and resolves to { pid, stdin, stdout, stderr } (descriptors, -1 where there is none) or to
 * { errno, stage } when nothing was started. Runs on a thread of the pool, because execve and chdir may wait for a slow disk.
 *
 * The child is made with vfork: it shares the memory of the suspended thread, so an error travels through `struct launch`
 * without a pipe, and the cost does not grow with the heap of the parent. Until exec the child calls only async-signal-safe
 * functions and writes only to `failure` and `moved`.
 *
 * The descriptors in `pass` become 3, 4, 5… of the child; the caller keeps them open until the promise settles. With `asideError`
 * the child's streams become 5, 6 and 7, and the third passed descriptor 8: a program that stays between this one and the
 * command would hold the streams open otherwise. Its own errors go to `asideError`.
 */
#include "become.h"
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

/* NUL-terminated strings, one behind the other, and a vector of pointers to them that ends with NULL. */
struct strings {
  char *bytes;
  char **items;
  size_t count;
};

/* Descriptors that a child may be given beyond the three standard ones: a sandbox has one for each mount. */
#define PASS_LIMIT 256
/* Where the streams go when they are put aside; the first passed descriptors are below. */
#define ASIDE 5

struct launch {
  napi_async_work work;
  napi_deferred deferred;
  struct strings candidates; /* absolute or relative paths, tried in order */
  struct strings argv;
  struct strings env;
  char **script_argv; /* argv for /bin/sh, when the program is a script without an interpreter line */
  char *cwd;
  bool pipe_stdin;
  bool tty;
  bool lead_terminal;
  struct winsize size;
  int pass[PASS_LIMIT];
  int pass_count;
  int aside_error; /* -1: the streams are 0, 1 and 2 */
  int aside_null;
  int moved[6 + PASS_LIMIT];
  pid_t parent;
  int child_fds[3];
  int parent_fds[3];
  pid_t pid;
  volatile int failure; /* errno */
  volatile enum launch_stage stage;
};

static const char *const stage_names[] = {"none", "setup", "cwd", "exec"};

static void strings_free(struct strings *s) {
  free(s->bytes);
  free(s->items);
}

static bool strings_read(napi_env env, napi_value object, const char *name, struct strings *out) {
  napi_value value;
  void *data;
  size_t length;
  if (napi_get_named_property(env, object, name, &value) != napi_ok) return false;
  if (napi_get_buffer_info(env, value, &data, &length) != napi_ok) return false;
  if (length > 0 && ((char *)data)[length - 1] != '\0') return false;
  for (size_t i = 0; i < length; i++) out->count += ((char *)data)[i] == '\0';
  out->bytes = malloc(length + 1);
  out->items = calloc(out->count + 1, sizeof(char *));
  if (out->bytes == NULL || out->items == NULL) return false;
  memcpy(out->bytes, data, length);
  char *next = out->bytes;
  for (size_t i = 0; i < out->count; i++) {
    out->items[i] = next;
    next += strlen(next) + 1;
  }
  return true;
}

static void fail(struct launch *launch, enum launch_stage stage) {
  launch->failure = errno;
  launch->stage = stage;
}

/* Everything above the child's own descriptors, so that nothing of the executor leaks into it. */
static void close_inherited(int first) {
#if defined(__linux__) && defined(SYS_close_range)
  if (syscall(SYS_close_range, (unsigned)first, ~0U, 0U) == 0) return;
#endif
  struct rlimit limit;
  int highest = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
  for (int fd = first; fd < highest; fd++) close(fd);
}

/* All are moved out of the way first: one of them may have the number that another one is to get. */
static bool place_descriptors(struct launch *launch) {
  bool aside = launch->aside_error >= 0;
  int count = (aside ? 6 : 3) + launch->pass_count;
  for (int i = 0; i < count; i++) {
    int source;
    if (i < 3) source = !aside ? launch->child_fds[i] : i == 2 ? launch->aside_error : launch->aside_null;
    else if (!aside || i < ASIDE) source = launch->pass[i - 3];
    else source = i < ASIDE + 3 ? launch->child_fds[i - ASIDE] : launch->pass[i - 6];
    launch->moved[i] = fcntl(source, F_DUPFD_CLOEXEC, count);
    if (launch->moved[i] < 0) return false;
  }
  for (int i = 0; i < count; i++) {
    if (dup2(launch->moved[i], i) < 0) return false;
  }
  return true;
}

static void child_main(struct launch *launch) {
  if (setsid() < 0) return fail(launch, LAUNCH_SETUP);
#ifdef __linux__
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return fail(launch, LAUNCH_SETUP);
  if (getppid() != launch->parent) _exit(127);
#endif
  guard_child_started(launch->aside_error < 0);
  if (!place_descriptors(launch)) return fail(launch, LAUNCH_SETUP);
  if (launch->tty && launch->lead_terminal && launch->aside_error < 0 && ioctl(0, TIOCSCTTY, 0) != 0) return fail(launch, LAUNCH_SETUP);
  if (chdir(launch->cwd) != 0) return fail(launch, LAUNCH_CWD);
  close_inherited((launch->aside_error >= 0 ? 6 : 3) + launch->pass_count);
  reset_signals();
  try_programs(launch->candidates.items, launch->candidates.count, launch->argv.items, launch->script_argv, launch->env.items);
  fail(launch, LAUNCH_EXEC);
}

static bool open_pipe(int *reader, int *writer) {
  int ends[2];
#ifdef __linux__
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
#else
  if (pipe(ends) != 0) return false;
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
#endif
  *reader = ends[0];
  *writer = ends[1];
  return true;
}

static bool open_pipes(struct launch *launch) {
  if (launch->pipe_stdin) {
    if (!open_pipe(&launch->child_fds[0], &launch->parent_fds[0])) return false;
  } else {
    launch->child_fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (launch->child_fds[0] < 0) return false;
  }
  return open_pipe(&launch->parent_fds[1], &launch->child_fds[1]) &&
         open_pipe(&launch->parent_fds[2], &launch->child_fds[2]);
}

static bool open_pty(struct launch *launch) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0) return false;
  launch->parent_fds[0] = master;
  char name[128];
  if (grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, sizeof name) != 0) return false;
  int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return false;
  for (int fd = 0; fd < 3; fd++) launch->child_fds[fd] = slave;
#ifdef IUTF8
  struct termios mode; /* so that erase removes a whole character */
  if (tcgetattr(slave, &mode) == 0) {
    mode.c_iflag |= IUTF8;
    tcsetattr(slave, TCSANOW, &mode);
  }
#endif
  return ioctl(slave, TIOCSWINSZ, &launch->size) == 0;
}

static void close_all(int fds[3]) {
  for (int i = 0; i < 3; i++) {
    if (fds[i] < 0) continue;
    close(fds[i]);
    for (int j = i + 1; j < 3; j++) {
      if (fds[j] == fds[i]) fds[j] = -1;
    }
    fds[i] = -1;
  }
}

#ifdef __linux__
#define set_mask sigprocmask
#else
#define set_mask pthread_sigmask
#endif

static void execute(napi_env env, void *data) {
  struct launch *launch = data;
  launch->parent = getpid();
  if (launch->aside_error >= 0) launch->aside_null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (!(launch->tty ? open_pty(launch) : open_pipes(launch)) || (launch->aside_error >= 0 && launch->aside_null < 0)) {
    fail(launch, LAUNCH_SETUP);
  } else {
    /*
     * No handler of the parent may run in the child while they share memory. On Linux sigprocmask is about the calling thread; the other
     * name of the same would ask for a newer C library than Node itself does.
     */
    sigset_t all, before;
    sigfillset(&all);
    set_mask(SIG_SETMASK, &all, &before);
#ifdef __APPLE__
    pid_t pid = fork(); /* vfork is deprecated there; an exec failure is seen as exit status 127 */
#else
    pid_t pid = vfork();
#endif
    if (pid == 0) {
      child_main(launch);
      _exit(127);
    }
    if (pid < 0) fail(launch, LAUNCH_SETUP);
    launch->pid = pid;
    set_mask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && launch->stage != LAUNCH_OK) {
      int status;
      guard_child_ends(pid);
      while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
      }
    }
  }
  if (launch->aside_null >= 0) close(launch->aside_null);
  close_all(launch->child_fds);
  if (launch->stage != LAUNCH_OK) {
    close_all(launch->parent_fds);
    return;
  }
  for (int i = 0; i < 3; i++) {
    int fd = launch->parent_fds[i];
    if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
}

static void set_int(napi_env env, napi_value object, const char *name, int number) {
  napi_value value;
  if (napi_create_int32(env, number, &value) == napi_ok) napi_set_named_property(env, object, name, value);
}

static void launch_free(napi_env env, struct launch *launch) {
  if (launch->work != NULL) napi_delete_async_work(env, launch->work);
  strings_free(&launch->candidates);
  strings_free(&launch->argv);
  strings_free(&launch->env);
  free(launch->script_argv);
  free(launch->cwd);
  free(launch);
}

static void complete(napi_env env, napi_status status, void *data) {
  struct launch *launch = data;
  napi_value result;
  napi_create_object(env, &result);
  if (launch->stage == LAUNCH_OK) {
    set_int(env, result, "pid", launch->pid);
    set_int(env, result, "stdin", launch->parent_fds[0]);
    set_int(env, result, "stdout", launch->parent_fds[1]);
    set_int(env, result, "stderr", launch->parent_fds[2]);
  } else {
    napi_value stage;
    set_int(env, result, "errno", launch->failure);
    napi_create_string_utf8(env, stage_names[launch->stage], NAPI_AUTO_LENGTH, &stage);
    napi_set_named_property(env, result, "stage", stage);
  }
  napi_resolve_deferred(env, launch->deferred, result);
  launch_free(env, launch);
}

static int get_int(napi_env env, napi_value object, const char *name) {
  napi_value value;
  int32_t number = 0;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) napi_get_value_int32(env, value, &number);
  return number;
}

static bool has(napi_env env, napi_value object, const char *name) {
  napi_value value;
  napi_valuetype type;
  return napi_get_named_property(env, object, name, &value) == napi_ok && napi_typeof(env, value, &type) == napi_ok &&
         type != napi_undefined;
}

static bool read_pass(napi_env env, napi_value spec, struct launch *launch) {
  napi_value list, item;
  uint32_t count;
  launch->aside_error = launch->aside_null = -1;
  if (!has(env, spec, "pass")) return true;
  if (napi_get_named_property(env, spec, "pass", &list) != napi_ok) return false;
  if (napi_get_array_length(env, list, &count) != napi_ok || count > PASS_LIMIT) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (napi_get_element(env, list, i, &item) != napi_ok) return false;
    if (napi_get_value_int32(env, item, &launch->pass[i]) != napi_ok || launch->pass[i] < 0) return false;
  }
  launch->pass_count = (int)count;
  launch->aside_error = has(env, spec, "asideError") ? get_int(env, spec, "asideError") : -1;
  return launch->aside_error < 0 || count >= 2;
}

static bool read_spec(napi_env env, napi_value spec, struct launch *launch) {
  struct strings cwd = {0};
  bool ok = strings_read(env, spec, "candidates", &launch->candidates) &&
            strings_read(env, spec, "argv", &launch->argv) && strings_read(env, spec, "env", &launch->env) &&
            strings_read(env, spec, "cwd", &cwd) && cwd.count == 1 && launch->argv.count > 0;
  free(cwd.items);
  launch->cwd = cwd.bytes;
  if (!ok) return false;
  launch->script_argv = calloc(launch->argv.count + 2, sizeof(char *));
  if (launch->script_argv == NULL) return false;
  launch->script_argv[0] = "/bin/sh";
  for (size_t i = 1; i < launch->argv.count; i++) launch->script_argv[i + 1] = launch->argv.items[i];
  launch->pipe_stdin = get_int(env, spec, "pipeStdin") != 0;
  launch->size.ws_row = (unsigned short)get_int(env, spec, "rows");
  launch->size.ws_col = (unsigned short)get_int(env, spec, "cols");
  launch->tty = launch->size.ws_row > 0;
  launch->lead_terminal = !has(env, spec, "leadTerminal") || get_int(env, spec, "leadTerminal") != 0;
  return read_pass(env, spec, launch);
}

napi_value native_spawn(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value spec, name, promise;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, &spec, NULL, NULL));
  struct launch *launch = calloc(1, sizeof *launch);
  if (launch == NULL) {
    napi_throw_error(env, "ENOMEM", "out of memory");
    return NULL;
  }
  for (int i = 0; i < 3; i++) launch->child_fds[i] = launch->parent_fds[i] = -1;
  if (!read_spec(env, spec, launch)) {
    launch_free(env, launch);
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "spawn: candidates, argv, env and cwd must be NUL-terminated buffers, pass a list of descriptors");
    return NULL;
  }
  NAPI_OK(env, napi_create_promise(env, &launch->deferred, &promise));
  NAPI_OK(env, napi_create_string_utf8(env, "exec-server:spawn", NAPI_AUTO_LENGTH, &name));
  NAPI_OK(env, napi_create_async_work(env, NULL, name, execute, complete, launch, &launch->work));
  NAPI_OK(env, napi_queue_async_work(env, launch->work));
  return promise;
}
