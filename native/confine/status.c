/* The messages to the executor: one datagram each. Nobody to listen is no error; the socket's end tells that elsewhere. */
#include "confine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_LIMIT (PATH_MAX + 128)

void status_send(const char *format, ...) {
  char message[MESSAGE_LIMIT];
  va_list values;
  va_start(values, format);
  int length = vsnprintf(message, sizeof message, format, values);
  va_end(values);
  if (length <= 0) return;
  size_t count = (size_t)length < sizeof message ? (size_t)length : sizeof message - 1;
  while (write(STATUS_FD, message, count) < 0 && errno == EINTR) {
  }
}

void status_failed(const struct failure *failure) {
  static const char *const stages[] = {"setup", "setup", "cwd", "exec"};
  status_send("failed %s %d %s", stages[failure->stage], failure->error, failure->detail);
}
