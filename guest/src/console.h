/* The Xen console, /dev/hvc0, as a terminal. */
#ifndef XENITH_CONSOLE_H
#define XENITH_CONSOLE_H

#include "options.h"

/* Makes the console the calling process's standard input and output. Returns 0 or a negative errno. */
long console_attach(void);

/* Makes the caller a session leader whose controlling terminal is its standard input. */
void console_control(void);

/* Sets size and line discipline of the terminal on standard input. */
void console_configure(const struct options *options);

/* Waits until the host has taken everything that was written. */
void console_drain(void);

#endif
