/*
 * What a confined start is made of, on Linux: a sealed file that hands the command over, the socket on which the launcher
 * (native/confine) reports, descriptors for paths, and what the kernel can enforce. Elsewhere all of it is -ENOSYS.
 */
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#endif

static napi_value pair(napi_env env, int64_t first, int64_t second) {
  napi_value result;
  NAPI_OK(env, napi_create_array_with_length(env, 2, &result));
  NAPI_OK(env, napi_set_element(env, result, 0, number(env, first)));
  NAPI_OK(env, napi_set_element(env, result, 1, number(env, second)));
  return result;
}

#ifdef __linux__

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

static int write_all(int fd, const char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t count = write(fd, bytes + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    done += (size_t)count;
  }
  return 0;
}

static int sealed_file(const char *bytes, size_t length) {
  /* A host may forbid files in memory that could be executed. Kernels before 6.3 do not know the flag. */
  int fd = memfd_create("exec-server", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("exec-server", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  int failed = write_all(fd, bytes, length);
  if (failed == 0 && lseek(fd, 0, SEEK_SET) != 0) failed = -errno;
  if (failed == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) failed = -errno;
  if (failed == 0) return fd;
  close(fd);
  return failed;
}

/* sealedFile(Uint8Array) */
napi_value native_sealed_file(napi_env env, napi_callback_info info) {
  size_t argc = 1, length;
  napi_value argv[1];
  void *data;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_typedarray_info(env, argv[0], NULL, &length, &data, NULL, NULL));
  return number(env, sealed_file(data, length));
}

/* memoryFile(): one that can be written to */
napi_value native_memory_file(napi_env env, napi_callback_info info) {
  int fd = memfd_create("exec-server", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("exec-server", MFD_CLOEXEC);
  return number(env, fd < 0 ? -errno : fd);
}

/* statusPair(): [ours, the launcher's] */
napi_value native_status_pair(napi_env env, napi_callback_info info) {
  int ends[2], on = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return number(env, -errno);
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 || setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    int failed = -errno;
    close(ends[0]);
    close(ends[1]);
    return number(env, failed);
  }
  return pair(env, ends[0], ends[1]);
}

/*
 * receiveStatus(fd, Uint8Array): the kernel says whose message it is, as a pid that is valid here, whatever namespace the
 * sender lives in. There is room for nothing else, so that a descriptor that comes along is dropped.
 */
napi_value native_receive_status(napi_env env, napi_callback_info info) {
  size_t argc = 2, length;
  napi_value argv[2];
  int32_t fd;
  void *data;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_value_int32(env, argv[0], &fd));
  NAPI_OK(env, napi_get_typedarray_info(env, argv[1], NULL, &length, &data, NULL, NULL));
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(struct ucred))];
  } control;
  struct iovec part = {.iov_base = data, .iov_len = length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t count;
  do {
    count = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return number(env, -errno);
  if (message.msg_flags & MSG_TRUNC) return number(env, -EMSGSIZE);
  struct ucred sender = {0};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (count > 0 && header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
    memcpy(&sender, CMSG_DATA(header), sizeof sender);
  }
  return pair(env, count, sender.pid);
}

/* openPath(Buffer that ends with NUL) */
napi_value native_open_path(napi_env env, napi_callback_info info) {
  size_t argc = 1, length;
  napi_value argv[1];
  void *data;
  NAPI_OK(env, napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  NAPI_OK(env, napi_get_buffer_info(env, argv[0], &data, &length));
  if (length == 0 || memchr(data, '\0', length) != (char *)data + length - 1) return number(env, -EINVAL);
  struct open_how how = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW, .resolve = RESOLVE_NO_SYMLINKS};
  long fd = syscall(SYS_openat2, AT_FDCWD, data, &how, sizeof how);
  return number(env, fd < 0 ? -errno : fd);
}

static int action_available(uint32_t action) { return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0; }

static void facts(int *landlock, int *seccomp, int *notify) {
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* the version */);
  *landlock = abi > 0 ? (int)abi : 0;
  *seccomp = action_available(SECCOMP_RET_ERRNO);
  *notify = action_available(SECCOMP_RET_USER_NOTIF);
}

#else

napi_value native_sealed_file(napi_env env, napi_callback_info info) { return number(env, -ENOSYS); }
napi_value native_memory_file(napi_env env, napi_callback_info info) { return number(env, -ENOSYS); }
napi_value native_status_pair(napi_env env, napi_callback_info info) { return number(env, -ENOSYS); }
napi_value native_receive_status(napi_env env, napi_callback_info info) { return number(env, -ENOSYS); }
napi_value native_open_path(napi_env env, napi_callback_info info) { return number(env, -ENOSYS); }
static void facts(int *landlock, int *seccomp, int *notify) { *landlock = *seccomp = *notify = 0; }

#endif

/* hostFacts() */
napi_value native_host_facts(napi_env env, napi_callback_info info) {
  int landlock, seccomp, notify;
  napi_value result, value;
  facts(&landlock, &seccomp, &notify);
  NAPI_OK(env, napi_create_object(env, &result));
  NAPI_OK(env, napi_set_named_property(env, result, "landlockAbi", number(env, landlock)));
  NAPI_OK(env, napi_get_boolean(env, seccomp != 0, &value));
  NAPI_OK(env, napi_set_named_property(env, result, "seccomp", value));
  NAPI_OK(env, napi_get_boolean(env, notify != 0, &value));
  NAPI_OK(env, napi_set_named_property(env, result, "seccompNotify", value));
  return result;
}
