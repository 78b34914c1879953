/*
 * The broker: performs, on its own descriptors, the changes of the file system that the command may make, and refuses the
 * others. Whatever it leaves to the kernel is safe, because Landlock gives the command no right to write where the broker does.
 */
#ifndef EXEC_SERVER_CONFINE_BROKER_H
#define EXEC_SERVER_CONFINE_BROKER_H

#include "confine.h"

struct broker;

/* Whether a launcher may look into its command here. Gives up privileges: for a process that ends then. */
bool broker_works(void);

/* NULL, and the failure filled in, when the broker could not serve. No other function minds NULL. */
struct broker *broker_open(const struct spec *spec, int listener, pid_t command, struct failure *failure);
int broker_listener(const struct broker *broker);
/* Milliseconds until something has to be tried again, -1 when nothing has to. */
int broker_wait(const struct broker *broker);
void broker_serve(struct broker *broker, int events);
unsigned long broker_denials(const struct broker *broker);

#endif
