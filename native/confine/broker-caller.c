/*
 * What the calling thread means by its arguments: texts in its memory, its descriptors, its directory. Each is read once and
 * then used as it was read; `caller_waits` tells afterwards that the number of the thread was still its own.
 */
#include "broker-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Bytes; a read never crosses such a border, so that it succeeds or fails as a whole. */
#define BLOCK 4096

/* What containers of older releases of Docker allow, where they forbid the call for it. Both ask the kernel for the same right. */
static ssize_t read_file(const struct call *call, uint64_t address, char *target, size_t length) {
  char name[64];
  snprintf(name, sizeof name, "%d/mem", call->tid);
  int fd = openat(call->broker->proc, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -EPERM;
  ssize_t count = address > INT64_MAX ? -1 : pread(fd, target, length, (off_t)address);
  close(fd);
  return count <= 0 ? -EFAULT : count;
}

static ssize_t read_block(const struct call *call, uint64_t address, char *target, size_t length) {
  size_t room = BLOCK - (size_t)(address & (BLOCK - 1));
  struct iovec local = {.iov_base = target, .iov_len = length < room ? length : room};
  struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = local.iov_len};
  ssize_t count = process_vm_readv(call->tid, &local, 1, &remote, 1, 0);
  if (count < 0 && (errno == EPERM || errno == ENOSYS)) return read_file(call, address, target, local.iov_len);
  if (count < 0) return -errno;
  return count == 0 ? -EFAULT : count;
}

int caller_read(const struct call *call, uint64_t address, void *target, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t count = read_block(call, address + done, (char *)target + done, length - done);
    if (count < 0) return (int)count;
    done += (size_t)count;
  }
  return 0;
}

int caller_text(const struct call *call, uint64_t address, char *target, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t count = read_block(call, address + done, target + done, size - done);
    if (count < 0) return (int)count;
    if (memchr(target + done, '\0', (size_t)count) != NULL) return 0;
    done += (size_t)count;
  }
  return -ENAMETOOLONG;
}

/* Through /proc and not by taking the descriptor itself: containers allow the one and forbid the other. */
static int open_link(const struct call *call, const char *what, int number) {
  char name[64];
  if (number < 0) snprintf(name, sizeof name, "%d/%s", call->tid, what);
  else snprintf(name, sizeof name, "%d/%s/%d", call->tid, what, number);
  int fd = openat(call->broker->proc, name, O_PATH | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int caller_descriptor(const struct call *call, int fd) {
  if (fd < 0) return -EBADF;
  int copy = open_link(call, "fd", fd);
  if (copy == -ENOENT) return -EBADF;
  return copy == -EACCES ? -EPERM : copy;
}

bool caller_uses(const struct call *call, int fd) {
  char name[64];
  struct stat info;
  snprintf(name, sizeof name, "%d/fd/%d", call->tid, fd);
  /* The link's own mode says what the descriptor was opened for. */
  return fstatat(call->broker->proc, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && (info.st_mode & (S_IRUSR | S_IWUSR)) != 0;
}

int caller_directory(const struct call *call, int dirfd) {
  return dirfd == AT_FDCWD ? open_link(call, "cwd", -1) : caller_descriptor(call, dirfd);
}

int caller_umask(const struct call *call, mode_t *mask) {
  char name[64], text[4096];
  snprintf(name, sizeof name, "%d/status", call->tid);
  int fd = openat(call->broker->proc, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -EPERM;
  ssize_t count = read(fd, text, sizeof text - 1);
  close(fd);
  if (count <= 0) return -EPERM;
  text[count] = '\0';
  const char *line = strstr(text, "\nUmask:\t");
  if (line == NULL) return -EPERM;
  *mask = (mode_t)strtoul(line + strlen("\nUmask:\t"), NULL, 8) & 0777;
  return 0;
}

bool caller_waits(const struct call *call) {
  uint64_t id = call->id;
  return ioctl(call->broker->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}
