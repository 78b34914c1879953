/* A program for the kernel's filter of system calls, put together call by call. */
#ifndef EXEC_SERVER_CONFINE_FILTER_H
#define EXEC_SERVER_CONFINE_FILTER_H

#include "confine.h"

#include <linux/filter.h>

/* Instructions; the kernel's own limit is 4096. */
#define PROGRAM_LIMIT 1024
/* Once the broker has a call only a deadly signal interrupts it: none is done and then repeated. */
#define WAIT_KILLABLE (1U << 5)

struct program {
  struct sock_filter code[PROGRAM_LIMIT];
  size_t length;
  bool broken;
};

void emit(struct program *program, uint16_t code, uint32_t value, uint8_t yes, uint8_t no);
void answer(struct program *program, uint32_t action);
void refuse_call(struct program *program, int call, int error);
void notify_call(struct program *program, int call);
/* Between the two: what decides about this call by its arguments, and answers on every way through. */
size_t begin_call(struct program *program, int call);
void end_call(struct program *program, size_t begin);
/* The lower half of an argument, which is all that the kernel looks at of an int. */
void load_argument(struct program *program, int index);

void add_refusals(struct program *program, enum filter_level level, bool standalone);
void add_notifications(struct program *program);

#endif
