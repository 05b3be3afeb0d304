/*
 * One request, one reply. A request is a header and then the path with its NUL; a write adds the value without one.
 * The reply has the request's type, or XS_ERROR and the error's name.
 */
#include "xenstore.h"
#include "system.h"

#include <fcntl.h>
#include <stdint.h>

enum { XS_READ = 2, XS_WRITE = 11, MAX_REQUEST = 256 };

struct message {
    uint32_t type;
    uint32_t request;
    uint32_t transaction;
    uint32_t length; /* of the bytes that follow */
};

static int read_exactly(long file, char *out, size_t count)
{
    while (count) {
        long got = SYSTEM3(read, file, out, count);

        if (got <= 0)
            return -1;
        out += got;
        count -= got;
    }
    return 0;
}

static int send_request(long file, uint32_t type, const char *path, const char *value)
{
    char bytes[MAX_REQUEST];
    struct message header = { .type = type };
    size_t path_size = text_length(path) + 1;
    size_t value_size = text_length(value);
    size_t size = sizeof header + path_size + value_size;

    if (size > sizeof bytes)
        return -1;
    header.length = path_size + value_size;
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, path, path_size);
    memcpy(bytes + sizeof header + path_size, value, value_size);
    return SYSTEM3(write, file, bytes, size) == (long)size ? 0 : -1;
}

/* Asks, and puts the reply's bytes and a NUL into `out`. Returns their number, or -1. */
static long ask(uint32_t type, const char *path, const char *value, char *out, size_t capacity)
{
    struct message reply;
    long file = SYSTEM2(open, "/dev/xen/xenbus", O_RDWR | O_CLOEXEC);
    long length = -1;

    if (file < 0)
        return -1;
    if (send_request(file, type, path, value) == 0
        && read_exactly(file, (char *)&reply, sizeof reply) == 0
        && reply.type == type
        && reply.length < capacity
        && read_exactly(file, out, reply.length) == 0)
        length = reply.length;
    out[length < 0 ? 0 : length] = 0;
    SYSTEM1(close, file);
    return length;
}

int xenstore_write(const char *path, const char *value)
{
    char answer[16];

    return ask(XS_WRITE, path, value, answer, sizeof answer) < 0 ? -1 : 0;
}

long xenstore_read(const char *path, char *out, size_t capacity)
{
    return ask(XS_READ, path, "", out, capacity);
}
