/*
 * lock(fd, exclusive): an advisory lock on an open file, taken or exchanged without waiting. It ends with its last
 * descriptor, so a dead holder has none. Node has no call for it.
 */
#include "native.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/file.h>

napi_value native_lock(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], result;
  int32_t fd;
  bool exclusive;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  NAPI_OK(env, napi_get_value_bool(env, argv[1], &exclusive));
  int failed = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 ? 0 : -errno;
  NAPI_OK(env, napi_create_int32(env, failed, &result));
  return result;
}
