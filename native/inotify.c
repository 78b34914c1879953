/*
 * inotifyOpen() / inotifyAdd(fd, path, mask) / inotifyRemove(fd, wd): what Node's fs.watch does not give: the kernel's word that its
 * queue has overflowed, one watch a directory instead of one a file, and names as bytes. The descriptor is polled and read like any
 * other; the events are parsed in JavaScript. Each answers a non-negative number, or -errno; -ENOSYS where there is no inotify.
 */
#include "native.h"

#include <errno.h>
#include <stdint.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif

/* inotifyOpen(): a descriptor that does not block and that no child inherits. */
napi_value native_inotify_open(napi_env env, napi_callback_info info) {
#ifdef __linux__
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  return number(env, fd < 0 ? -errno : fd);
#else
  return number(env, -ENOSYS);
#endif
}

/* inotifyAdd(fd, bytes of the path with NUL at the end, mask): the watch descriptor. */
napi_value native_inotify_add(napi_env env, napi_callback_info info) {
  size_t argc = 3, length;
  napi_value argv[3];
  int32_t fd;
  uint32_t mask;
  void *path;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  NAPI_OK(env, napi_get_buffer_info(env, argv[1], &path, &length));
  NAPI_OK(env, napi_get_value_uint32(env, argv[2], &mask));
  if (length == 0 || ((char *)path)[length - 1] != '\0') return number(env, -EINVAL);
#ifdef __linux__
  int wd = inotify_add_watch(fd, path, mask);
  return number(env, wd < 0 ? -errno : wd);
#else
  return number(env, -ENOSYS);
#endif
}

/* inotifyRemove(fd, wd) */
napi_value native_inotify_remove(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t fd, wd;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  NAPI_OK(env, napi_get_value_int32(env, argv[1], &wd));
#ifdef __linux__
  return number(env, inotify_rm_watch(fd, wd) == 0 ? 0 : -errno);
#else
  return number(env, -ENOSYS);
#endif
}
