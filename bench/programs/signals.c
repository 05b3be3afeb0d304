// Signals: installing a handler, sending oneself a signal, and the signal for a write to a protected page.

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include "rows.h"

enum { INSTALLS = 30000, DELIVERIES = 10000, FAULTS = 10000 };
static volatile int handled;
static sigjmp_buf back;

static void handle(int number)
{
    (void)number;
    handled++;
}

static void leap(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static void install(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NODEFER};
    need(sigaction(number, &action, NULL) == 0, "sigaction");
}

static uint64_t installs(void)
{
    for (int i = 0; i < INSTALLS; i++)
        install(SIGUSR1, handle);
    return INSTALLS;
}

static uint64_t deliveries(void)
{
    pid_t self = getpid();
    install(SIGUSR1, handle);
    handled = 0;
    for (int i = 0; i < DELIVERIES; i++)
        kill(self, SIGUSR1);
    return (uint64_t)handled;
}

static uint64_t protection(void)
{
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile int i = 0;
    need(page != MAP_FAILED, "mmap");
    install(SIGSEGV, leap);
    sigsetjmp(back, 0);
    if (i++ < FAULTS)
        *page = 1;
    munmap((void *)page, 4096);
    return (uint64_t)i;
}

const struct row signal_rows[] = {
    {.name = "signal-install", .group = "kernel", .work = installs},
    {.name = "signal-deliver", .group = "kernel", .work = deliveries},
    {.name = "protection-fault", .group = "kernel", .work = protection},
    {0},
};
