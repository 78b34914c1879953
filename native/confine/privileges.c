/*
 * Gives up every capability for good, where files are confined: none is held, none can be had from a program's file or from being root, and what was
 * given up cannot be asked for again.
 */
#include "calls.h"
#include "confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BITS (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | \
              SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

static bool holds_any(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) return true;
  for (int i = 0; i < 2; i++) {
    if ((data[i].effective | data[i].permitted | data[i].inheritable) != 0) return true;
  }
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0) > 0;
}

bool privileges_drop(bool all, struct failure *failure) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(failure, STAGE_SETUP, errno, NULL);
  /* Where all files may be written root keeps what it needs for that. */
  if (!all) return true;
  /* An ordinary user may not change these two; no_new_privs makes them void for it. */
  bool may_change = prctl(PR_SET_SECUREBITS, BITS, 0, 0, 0) == 0;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && (may_change || errno != EPERM)) {
      return fail(failure, STAGE_SETUP, errno, NULL);
    }
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return fail(failure, STAGE_SETUP, errno, NULL);
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &header, none) != 0) return fail(failure, STAGE_SETUP, errno, NULL);
  return !holds_any() || fail(failure, STAGE_SETUP, EPERM, NULL);
}
