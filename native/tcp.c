/*
 * tcpProgress(fd of a TCP socket): [bytes that the other side's kernel has acknowledged, bytes in the send queue that it has not];
 * -errno, and -ENOSYS where the kernel does not tell.
 */
#include "native.h"

#include <errno.h>
#include <stdint.h>
#ifdef __linux__
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#endif

napi_value native_tcp_progress(napi_env env, napi_callback_info info) {
#ifdef __linux__
  size_t argc = 1;
  napi_value argv[1], result;
  int32_t fd;
  struct tcp_info tcp = {0};
  socklen_t length = sizeof tcp;
  int queued;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &length) != 0) return number(env, -errno);
  if (length < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof tcp.tcpi_bytes_acked) return number(env, -ENOSYS);
  if (ioctl(fd, SIOCOUTQ, &queued) != 0) return number(env, -errno);
  NAPI_OK(env, napi_create_array_with_length(env, 2, &result));
  NAPI_OK(env, napi_set_element(env, result, 0, number(env, (int64_t)tcp.tcpi_bytes_acked)));
  NAPI_OK(env, napi_set_element(env, result, 1, number(env, queued)));
  return result;
#else
  return number(env, -ENOSYS);
#endif
}
