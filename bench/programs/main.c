// Runs rows and prints for each pass of each
//     BEGIN name pass
//     ROW name pass seconds processor-seconds checksum
// by its own clocks. Started as process 1 it is the whole user space of a guest: it prints READY first, then the clock at
// the beginning and the end (CLOCK seconds), and turns the machine off.
//
//     rows --list                 the rows: name and group
//     rows                        runs the rows named in BENCH_ROWS (by commas; unset: all), BENCH_PASSES times each
//
// The current folder holds bin/, python/ and tmp/. Each row has a process of its own.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "rows.h"

enum { TOO_LONG = 60 };

static const struct row *const lists[] = {
    sieve_rows, quicksort_rows, matmul_rows, sha256_rows, chase_rows, copy_rows, bytecode_rows, wide_rows, text_rows,
    calls_rows, signal_rows, process_rows, switch_rows, memory_rows, command_rows,
};

void need(int ok, const char *what)
{
    if (ok)
        return;
    printf("FAILED %s: %s\n", what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double processor_time(void)
{
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    time_t seconds = own.ru_utime.tv_sec + own.ru_stime.tv_sec + children.ru_utime.tv_sec + children.ru_stime.tv_sec;
    suseconds_t rest = own.ru_utime.tv_usec + own.ru_stime.tv_usec + children.ru_utime.tv_usec + children.ru_stime.tv_usec;
    return (double)seconds + (double)rest * 1e-6;
}

// True when the row is among the names in list, which are separated by commas.
static int chosen(const char *name, const char *list)
{
    size_t length = strlen(name);
    for (const char *p = list; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, name, length) == 0 && (p[length] == ',' || p[length] == '\0'))
            return 1;
    return list == NULL;
}

static void run_command(const char *const *words)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        int out = open("tmp/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        need(out >= 0 && dup2(out, 1) == 1, "tmp/out");
        execve(words[0], (char *const *)words, (char *[]){"PYTHONHASHSEED=0", NULL});
        _exit(127);
    }
    need(child > 0 && waitpid(child, &status, 0) == child && status == 0, words[0]);
}

static uint64_t hash_output(void)
{
    int out = open("tmp/out", O_RDONLY);
    struct stat s;
    need(out >= 0 && fstat(out, &s) == 0, "tmp/out");
    if (s.st_size == 0)
        return 0;
    void *bytes = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, out, 0);
    need(bytes != MAP_FAILED, "mmap of tmp/out");
    return hash_bytes(bytes, (uint64_t)s.st_size);
}

static void run_row(const struct row *row, int passes)
{
    alarm(TOO_LONG);
    if (row->prepare)
        row->prepare();
    for (int pass = 0; pass < passes; pass++) {
        printf("BEGIN %s %d\n", row->name, pass);
        fflush(stdout);
        uint64_t sum = 0;
        double processor = processor_time(), begin = now();
        if (row->command)
            run_command(row->command);
        else
            sum = row->work();
        double seconds = now() - begin;
        processor = processor_time() - processor;
        if (row->command)
            sum = hash_output();
        printf("ROW %s %d %.6f %.6f %016llx\n", row->name, pass, seconds, processor, (unsigned long long)sum);
        fflush(stdout);
    }
    _exit(0);
}

// Runs the row in a process of its own, which may fail without harm to the others.
static void run_apart(const struct row *row, int passes)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        run_row(row, passes);
    waitpid(child, &status, 0);
    if (status != 0)
        printf("FAILED %s: wait status %d\n", row->name, status);
    fflush(stdout);
}

static void set_up_guest(void)
{
    int console = open("/dev/console", O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(console, i);
    printf("READY\n");
    fflush(stdout);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
}

int main(int count, char **words)
{
    int list = count > 1 && strcmp(words[1], "--list") == 0, guest = getpid() == 1;
    const char *names = getenv("BENCH_ROWS"), *passes = getenv("BENCH_PASSES");
    if (guest)
        set_up_guest();
    if (!list)
        printf("CLOCK %.6f\n", now());
    fflush(stdout);
    for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct row *row = lists[i]; row->name; row++) {
            if (list)
                printf("%s %s\n", row->name, row->group);
            else if (chosen(row->name, names))
                run_apart(row, passes ? atoi(passes) : 1);
        }
    if (!list)
        printf("CLOCK %.6f\n", now());
    fflush(stdout);
    if (guest) {
        sync();
        reboot(RB_POWER_OFF);
    }
    return 0;
}
