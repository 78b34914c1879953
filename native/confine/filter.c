/*
 * The filter of system calls: what it refuses answers EPERM, as if the user were not allowed to. Without mounts of its own the
 * command also hands every call that could change the file system to the broker.
 */
#include "calls.h"
#include "filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

/* Set in the numbers of calls of the 32-bit form on x86-64. */
#define X32_BIT 0x40000000U

void emit(struct program *program, uint16_t code, uint32_t value, uint8_t yes, uint8_t no) {
  if (program->length == PROGRAM_LIMIT) {
    program->broken = true;
    return;
  }
  program->code[program->length++] = (struct sock_filter){.code = code, .jt = yes, .jf = no, .k = value};
}

void answer(struct program *program, uint32_t action) { emit(program, BPF_RET | BPF_K, action, 0, 0); }

void refuse_call(struct program *program, int call, int error) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
  answer(program, SECCOMP_RET_ERRNO | (uint32_t)error);
}

void notify_call(struct program *program, int call) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
  answer(program, SECCOMP_RET_USER_NOTIF);
}

size_t begin_call(struct program *program, int call) {
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 0);
  return program->length - 1;
}

void end_call(struct program *program, size_t begin) {
  size_t skipped = program->length - begin - 1;
  if (skipped > UINT8_MAX) program->broken = true;
  else program->code[begin].jf = (uint8_t)skipped;
}

void load_argument(struct program *program, int index) {
  emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)index), 0, 0);
}

static void head(struct program *program) {
  emit(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
  emit(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  answer(program, SECCOMP_RET_ERRNO | EPERM);
  emit(program, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
#ifdef __x86_64__
  emit(program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
  answer(program, SECCOMP_RET_ERRNO | EPERM);
#endif
}

bool filter_install(const struct spec *spec, int *listener, struct failure *failure) {
  static struct program program;
  *listener = -1;
  if (spec->filter == FILTER_NONE) return true;
  if (ARCHITECTURE == 0) return fail(failure, STAGE_SETUP, ENOSYS, NULL);
  bool broker = needs_broker(spec);
  head(&program);
  add_refusals(&program, spec->filter, spec->standalone);
  if (broker) add_notifications(&program);
  answer(&program, SECCOMP_RET_ALLOW);
  if (program.broken) return fail(failure, STAGE_SETUP, E2BIG, NULL);
  struct sock_fprog code = {.len = (unsigned short)program.length, .filter = program.code};
  unsigned flags = broker ? SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE : 0;
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &code);
  if (result < 0) return fail(failure, STAGE_SETUP, errno, NULL);
  if (broker) *listener = (int)result;
  return true;
}
