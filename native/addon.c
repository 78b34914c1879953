/*
 * The small system calls around a child: read, write, window size, end-of-file character, exit status. Each answers a
 * non-negative number, or -errno.
 */
#include "native.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

static napi_value transfer(napi_env env, napi_callback_info info, int writing) {
  size_t argc = 4, length;
  napi_value argv[4];
  int32_t fd;
  uint32_t offset, count;
  void *data;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  NAPI_OK(env, napi_get_typedarray_info(env, argv[1], NULL, &length, &data, NULL, NULL));
  NAPI_OK(env, napi_get_value_uint32(env, argv[2], &offset));
  NAPI_OK(env, napi_get_value_uint32(env, argv[3], &count));
  if (offset > length || count > length - offset) return number(env, -EINVAL);
  char *bytes = (char *)data + offset;
  ssize_t done;
  do {
    done = writing ? write(fd, bytes, count) : read(fd, bytes, count);
  } while (done < 0 && errno == EINTR);
  return number(env, done < 0 ? -errno : done);
}

/* read(fd, Uint8Array, offset, count): 0 at the end of the stream. */
static napi_value native_read(napi_env env, napi_callback_info info) { return transfer(env, info, 0); }

/* write(fd, Uint8Array, offset, count) */
static napi_value native_write(napi_env env, napi_callback_info info) { return transfer(env, info, 1); }

/* resize(fd of a PTY, rows, columns); the kernel sends SIGWINCH to the foreground group. */
static napi_value native_resize(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  int32_t fd, rows, columns;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  NAPI_OK(env, napi_get_value_int32(env, argv[1], &rows));
  NAPI_OK(env, napi_get_value_int32(env, argv[2], &columns));
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  return number(env, ioctl(fd, TIOCSWINSZ, &size) == 0 ? 0 : -errno);
}

/* eofByte(fd of a PTY): the character that its line discipline takes as end of file. */
static napi_value native_eof_byte(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  int32_t fd;
  struct termios mode;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  return number(env, tcgetattr(fd, &mode) == 0 ? mode.c_cc[VEOF] : -errno);
}

static int64_t microseconds(struct timeval time) { return (int64_t)time.tv_sec * 1000000 + time.tv_usec; }

/*
 * exitStatus(pid): null while the child runs; else [code, signal, user µs, system µs]; -errno when it is no child. The child
 * stays a zombie, so that its pid and its group's id cannot belong to somebody else; reap(pid) ends that. The peak of its
 * resident memory is left out: after vfork the kernel counts the memory of the parent in it.
 */
static napi_value native_exit_status(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], result;
  int32_t pid;
  siginfo_t child = {0};
  struct rusage usage = {0};
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &pid));
#ifdef __linux__
  /* The fifth argument, which the C library hides, is the resource usage. */
  long failed = syscall(SYS_waitid, P_PID, pid, &child, WEXITED | WNOHANG | WNOWAIT, &usage);
#else
  int failed = waitid(P_PID, (id_t)pid, &child, WEXITED | WNOHANG | WNOWAIT);
#endif
  if (failed != 0) return number(env, -errno);
  if (child.si_pid == 0) {
    NAPI_OK(env, napi_get_null(env, &result));
    return result;
  }
  int exited = child.si_code == CLD_EXITED;
  int64_t values[] = {exited ? child.si_status : -1, exited ? 0 : child.si_status, microseconds(usage.ru_utime),
                      microseconds(usage.ru_stime)};
  NAPI_OK(env, napi_create_array_with_length(env, 4, &result));
  for (uint32_t i = 0; i < 4; i++) NAPI_OK(env, napi_set_element(env, result, i, number(env, values[i])));
  return result;
}

static napi_value native_reap(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  int32_t pid;
  int status;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &pid));
  guard_child_ends(pid);
  pid_t reaped = waitpid(pid, &status, WNOHANG);
  return number(env, reaped < 0 ? -errno : reaped);
}

NAPI_MODULE_INIT() {
  const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"spawn", native_spawn},             {"pollOpen", native_poll_open},      {"pollSet", native_poll_set},
      {"pollClose", native_poll_close},    {"read", native_read},               {"write", native_write},
      {"resize", native_resize},           {"eofByte", native_eof_byte},        {"exitStatus", native_exit_status},
      {"reap", native_reap},               {"inotifyOpen", native_inotify_open}, {"inotifyAdd", native_inotify_add},
      {"inotifyRemove", native_inotify_remove},
      {"guardOpen", native_guard_open},    {"descriptorsScarce", native_descriptors_scarce},
      {"tcpProgress", native_tcp_progress},
      {"sealedFile", native_sealed_file}, {"statusPair", native_status_pair},
      {"receiveStatus", native_receive_status}, {"openPath", native_open_path},   {"hostFacts", native_host_facts},
      {"lock", native_lock}, {"memoryFile", native_memory_file},
  };
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value function;
    NAPI_OK(env, napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function));
    NAPI_OK(env, napi_set_named_property(env, exports, functions[i].name, function));
  }
  return exports;
}
