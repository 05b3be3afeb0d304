/* Xenstore as a guest's user space reaches it: the wire protocol through /dev/xen/xenbus (xen/io/xs_wire.h). */
#ifndef XENITH_XENSTORE_H
#define XENITH_XENSTORE_H

#include <stddef.h>

/*
 * Sets the node `path` to `value`. A path without a leading slash is relative to the domain's own,
 * /local/domain/<domid>. Returns 0, or -1 when xenstore is not there or refuses.
 */
int xenstore_write(const char *path, const char *value);

/*
 * Reads the node `path` into `out`, with a NUL after it. Returns its length, or -1 when there is no such node, no
 * xenstore, or a value that does not fit.
 */
long xenstore_read(const char *path, char *out, size_t capacity);

/*
 * The same, once there is such a node. When it has to wait, it first sets the node `waiting` to "yes".
 */
long xenstore_await(const char *path, const char *waiting, char *out, size_t capacity);

#endif
