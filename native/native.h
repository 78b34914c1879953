/*
 * What Node cannot do itself when it starts a program: real pipes (Node hands out socket pairs, on which
 * `echo x > /dev/stdout` fails in the child), a PTY and a pipe child by one path with the same errors, a parent-death
 * signal, the exit status and resource usage of a child that stays a zombie until its output has been read; inotify; and
 * what a confined start is made of.
 */
#ifndef EXEC_SERVER_NATIVE_H
#define EXEC_SERVER_NATIVE_H

#include <node_api.h>
#include <stdint.h>

#define NAPI_OK(env, call)                                                  \
  do {                                                                      \
    if ((call) != napi_ok) {                                                \
      napi_throw_error((env), "ERR_NATIVE", "native call failed: " #call); \
      return NULL;                                                          \
    }                                                                       \
  } while (0)

static inline napi_value number(napi_env env, int64_t value) {
  napi_value result;
  NAPI_OK(env, napi_create_int64(env, value, &result));
  return result;
}

/* Where a launch failed; the names that JavaScript sees are in spawn.c. */
enum launch_stage { LAUNCH_OK, LAUNCH_SETUP, LAUNCH_CWD, LAUNCH_EXEC };

napi_value native_spawn(napi_env env, napi_callback_info info);

/* guard.c: the first between vfork and exec, the second before a child is reaped. */
void guard_child_started(bool reaped);
void guard_child_ends(int pid);
napi_value native_guard_open(napi_env env, napi_callback_info info);
napi_value native_tcp_progress(napi_env env, napi_callback_info info);
napi_value native_descriptors_scarce(napi_env env, napi_callback_info info);

napi_value native_poll_open(napi_env env, napi_callback_info info);
napi_value native_poll_set(napi_env env, napi_callback_info info);
napi_value native_poll_close(napi_env env, napi_callback_info info);

napi_value native_inotify_open(napi_env env, napi_callback_info info);
napi_value native_inotify_add(napi_env env, napi_callback_info info);
napi_value native_inotify_remove(napi_env env, napi_callback_info info);

napi_value native_sealed_file(napi_env env, napi_callback_info info);
napi_value native_status_pair(napi_env env, napi_callback_info info);
napi_value native_receive_status(napi_env env, napi_callback_info info);
napi_value native_open_path(napi_env env, napi_callback_info info);
napi_value native_memory_file(napi_env env, napi_callback_info info);
napi_value native_host_facts(napi_env env, napi_callback_info info);

napi_value native_lock(napi_env env, napi_callback_info info);

#endif
