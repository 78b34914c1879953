/*
 * pollOpen(fd, callback) / pollSet(handle, mask) / pollClose(handle): readiness of a descriptor, told by the event loop.
 * mask and events: 1 readable, 2 writable; -1 means that the other end is gone (a write would be EPIPE). The caller keeps the
 * descriptor and closes it after pollClose.
 */
#include "native.h"

#include <stdlib.h>
#include <uv.h>

struct poll_handle {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  int open;
};

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct poll_handle *handle = poll->data;
  napi_env env = handle->env;
  napi_handle_scope scope;
  napi_value callback, receiver, argument;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, handle->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok &&
      napi_create_int32(env, status < 0 ? -1 : events, &argument) == napi_ok) {
    napi_make_callback(env, handle->context, receiver, callback, 1, &argument, NULL);
  }
  napi_close_handle_scope(env, scope);
}

static void on_closed(uv_handle_t *closed) { free(closed->data); }

static void release(struct poll_handle *handle) {
  if (!handle->open) return;
  handle->open = 0;
  napi_delete_reference(handle->env, handle->callback);
  napi_async_destroy(handle->env, handle->context);
  uv_close((uv_handle_t *)&handle->poll, on_closed);
}

napi_value native_poll_open(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], name, result;
  int32_t fd;
  uv_loop_t *loop;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  NAPI_OK(env, napi_get_uv_event_loop(env, &loop));
  struct poll_handle *handle = calloc(1, sizeof *handle);
  if (handle == NULL || uv_poll_init(loop, &handle->poll, fd) != 0) {
    free(handle);
    napi_throw_error(env, "ERR_POLL", "the descriptor cannot be polled");
    return NULL;
  }
  handle->env = env;
  handle->poll.data = handle;
  handle->open = 1;
  NAPI_OK(env, napi_create_reference(env, argv[1], 1, &handle->callback));
  NAPI_OK(env, napi_create_string_utf8(env, "exec-server:poll", NAPI_AUTO_LENGTH, &name));
  NAPI_OK(env, napi_async_init(env, NULL, name, &handle->context));
  NAPI_OK(env, napi_create_external(env, handle, NULL, NULL, &result));
  return result;
}

static struct poll_handle *get_handle(napi_env env, napi_value value) {
  void *data = NULL;
  return napi_get_value_external(env, value, &data) == napi_ok ? data : NULL;
}

napi_value native_poll_set(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t mask;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[1], &mask));
  struct poll_handle *handle = get_handle(env, argv[0]);
  if (handle == NULL || !handle->open) return NULL;
  if (mask == 0) uv_poll_stop(&handle->poll);
  else uv_poll_start(&handle->poll, mask, on_ready);
  return NULL;
}

napi_value native_poll_close(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  struct poll_handle *handle = get_handle(env, argv[0]);
  if (handle != NULL) release(handle);
  return NULL;
}
