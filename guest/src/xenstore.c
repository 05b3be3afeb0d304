/*
 * One request, one reply. A request is a header and then the path with its NUL; a write adds the value without one, a
 * watch its token with one. The reply has the request's type, or XS_ERROR and the error's name. Events of a watch come
 * unasked, the first one at once.
 */
#include "xenstore.h"
#include "system.h"

#include <fcntl.h>
#include <stdint.h>

enum { XS_READ = 2, XS_WATCH = 4, XS_WRITE = 11, XS_WATCH_EVENT = 15, XS_ERROR = 16, MAX_REQUEST = 256 };

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

static int send_request(long file, uint32_t type, const char *path, const char *value, size_t value_size)
{
    char bytes[MAX_REQUEST];
    struct message header = { .type = type };
    size_t path_size = text_length(path) + 1;
    size_t size = sizeof header + path_size + value_size;

    if (size > sizeof bytes)
        return -1;
    header.length = path_size + value_size;
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, path, path_size);
    memcpy(bytes + sizeof header + path_size, value, value_size);
    return SYSTEM3(write, file, bytes, size) == (long)size ? 0 : -1;
}

/* Puts the next message's bytes and a NUL into `out`. Returns their number, or -1. */
static long receive(long file, uint32_t *type, char *out, size_t capacity)
{
    struct message header;

    out[0] = 0;
    if (read_exactly(file, (char *)&header, sizeof header) < 0 || header.length >= capacity
        || read_exactly(file, out, header.length) < 0)
        return -1;
    *type = header.type;
    out[header.length] = 0;
    return header.length;
}

static long open_xenstore(void)
{
    return SYSTEM2(open, "/dev/xen/xenbus", O_RDWR | O_CLOEXEC);
}

/* Asks, and puts the reply's bytes and a NUL into `out`. Returns their number, or -1. */
static long ask(uint32_t type, const char *path, const char *value, char *out, size_t capacity)
{
    uint32_t reply;
    long file = open_xenstore();
    long length = -1;

    if (file < 0)
        return -1;
    if (send_request(file, type, path, value, text_length(value)) == 0)
        length = receive(file, &reply, out, capacity);
    SYSTEM1(close, file);
    return length >= 0 && reply == type ? length : -1;
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

/* Each event of the watch is answered by a read, until one finds the node. */
static long await_node(long file, const char *path, const char *waiting, char *out, size_t capacity)
{
    int watched = 0;
    uint32_t type;
    long length;

    if (send_request(file, XS_WATCH, path, "", 1) < 0)
        return -1;
    while ((length = receive(file, &type, out, capacity)) >= 0)
        switch (type) {
        case XS_WATCH:
            watched = 1;
            break;
        case XS_READ:
            return length;
        case XS_WATCH_EVENT:
            if (send_request(file, XS_READ, path, "", 0) < 0)
                return -1;
            break;
        case XS_ERROR: /* it is not there yet */
            if (!watched)
                return -1;
            if (waiting && xenstore_write(waiting, "yes") < 0)
                return -1;
            waiting = NULL;
            break;
        }
    return -1;
}

long xenstore_await(const char *path, const char *waiting, char *out, size_t capacity)
{
    long file = open_xenstore();
    long length = file < 0 ? -1 : await_node(file, path, waiting, out, capacity);

    if (file >= 0)
        SYSTEM1(close, file);
    return length;
}
