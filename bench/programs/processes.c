// Making processes: fork, fork and exec, and a shell that runs a program.

#include <sys/wait.h>
#include <unistd.h>
#include "rows.h"

enum { FORKS = 120, EXECS = 60, SHELLS = 25 };

// Waits for a child that should end with 0.
static void reap(pid_t child)
{
    int status;
    need(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child process");
}

static uint64_t forks(void)
{
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        reap(child);
    }
    return FORKS;
}

static void run(const char *path, char *const *words)
{
    pid_t child = fork();
    if (child == 0) {
        execv(path, words);
        _exit(127);
    }
    reap(child);
}

static uint64_t execs(void)
{
    for (int i = 0; i < EXECS; i++)
        run("bin/nothing", (char *[]){"nothing", NULL});
    return EXECS;
}

// Two processes each: the shell does not replace itself while a command is still to come.
static uint64_t shells(void)
{
    for (int i = 0; i < SHELLS; i++)
        run("bin/busybox", (char *[]){"sh", "-c", "bin/nothing; exit 0", NULL});
    return SHELLS;
}

const struct row process_rows[] = {
    {.name = "fork", .group = "kernel", .work = forks},
    {.name = "fork-exec", .group = "kernel", .work = execs},
    {.name = "fork-exec-sh", .group = "kernel", .work = shells},
    {0},
};
