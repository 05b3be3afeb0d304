// Context switches: a token goes round through pipes. Each process sums an array of its own before it passes the token on,
// as lmbench's lat_ctx does.

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "rows.h"

enum { MOST = 16, PASSES = 6000, LARGEST = 64 << 10 };

// Takes the token rounds times and passes it on.
static void pass(int from, int to, int rounds, int bytes)
{
    static volatile int array[LARGEST / sizeof(int)];
    char token;
    int sum = 0;
    for (int i = 0; i < rounds; i++) {
        need(read(from, &token, 1) == 1, "read of a pipe");
        for (int j = 0; j < bytes / (int)sizeof(int); j++)
            sum += array[j];
        need(write(to, &token, 1) == 1, "write of a pipe");
    }
    array[0] = sum;
}

static uint64_t ring(int processes, int bytes)
{
    int pipes[MOST][2], rounds = PASSES / processes;
    for (int i = 0; i < processes; i++)
        need(pipe(pipes[i]) == 0, "pipe");
    for (int i = 1; i < processes; i++)
        if (fork() == 0) {
            pass(pipes[i - 1][0], pipes[i][1], rounds, bytes);
            _exit(0);
        }
    need(write(pipes[processes - 1][1], "x", 1) == 1, "write of a pipe");
    pass(pipes[processes - 1][0], pipes[0][1], rounds, bytes);
    while (wait(NULL) > 0)
        ;
    for (int i = 0; i < processes; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    return (uint64_t)(rounds * processes);
}

static uint64_t ring2(void) { return ring(2, 0); }
static uint64_t ring2_16(void) { return ring(2, 16 << 10); }
static uint64_t ring8(void) { return ring(8, 16 << 10); }
static uint64_t ring16(void) { return ring(16, 64 << 10); }

const struct row switch_rows[] = {
    {.name = "pipe-2p/0K", .group = "kernel", .work = ring2},
    {.name = "switch-2p/16K", .group = "kernel", .work = ring2_16},
    {.name = "switch-8p/16K", .group = "kernel", .work = ring8},
    {.name = "switch-16p/64K", .group = "kernel", .work = ring16},
    {0},
};
