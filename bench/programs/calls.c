// System calls that do little: what entering and leaving the kernel costs.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "rows.h"

enum { NULL_CALLS = 60000, STATS = 10000, OPENS = 6000, COPIES = 15000 };

static uint64_t null_call(void)
{
    pid_t parent = getppid();
    for (int i = 0; i < NULL_CALLS; i++)
        need(syscall(SYS_getppid) == parent, "getppid");
    return NULL_CALLS;
}

static uint64_t stats(void)
{
    struct stat s;
    for (int i = 0; i < STATS; i++)
        need(stat("tmp", &s) == 0, "stat");
    return STATS;
}

static uint64_t opens(void)
{
    for (int i = 0; i < OPENS; i++) {
        int f = open("bin/nothing", O_RDONLY);
        need(f >= 0 && close(f) == 0, "open");
    }
    return OPENS;
}

// One byte from /dev/zero, one to /dev/null.
static uint64_t read_write(void)
{
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    char byte;
    need(zero >= 0 && null >= 0, "/dev/zero and /dev/null");
    for (int i = 0; i < COPIES; i++)
        need(read(zero, &byte, 1) == 1 && write(null, &byte, 1) == 1, "read and write");
    close(zero);
    close(null);
    return COPIES;
}

const struct row calls_rows[] = {
    {.name = "null-call", .group = "kernel", .work = null_call},
    {.name = "read-write", .group = "kernel", .work = read_write},
    {.name = "stat", .group = "kernel", .work = stats},
    {.name = "open-close", .group = "kernel", .work = opens},
    {0},
};
