/*
 * The first process of the default guest.
 *
 * It mounts the kernel's file systems, runs one program on the console (the command that the toolstack asked for, or
 * a login shell), reports that program's exit status in xenstore and powers the domain off. The status is at
 * data/xenith/exit-status under the domain's own path, in decimal: 0 to 255, as a shell counts it (126 cannot be
 * executed, 127 not found, 128 + n ended by signal n). The toolstack reads it there, so no output of the program can
 * be mistaken for it.
 *
 * Until then it reaps orphans and obeys the signals by which busybox's halt, poweroff and reboot (and so the toolstack,
 * through control/shutdown) speak to a first process.
 */
#include "console.h"
#include "options.h"
#include "system.h"
#include "xenstore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/timex.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MAX_ENVIRONMENT 64
#define STATUS_NOT_STARTED 125
#define SIGNAL_BIT(number) (1ul << ((number) - 1))

static const struct {
    const char *type, *at, *data;
    unsigned long flags;
} mounts[] = {
    { "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
    { "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
    { "devtmpfs", "/dev", "mode=0755", MS_NOSUID },
    { "devpts", "/dev/pts", "mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC },
    { "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV },
    { "tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV },
    { "tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV },
};

static void mount_all(void)
{
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        SYSTEM2(mkdir, mounts[i].at, 0755);
        if (SYSTEM5(mount, mounts[i].type, mounts[i].at, mounts[i].type, mounts[i].flags, mounts[i].data) < 0)
            say("cannot mount ", mounts[i].at, "");
    }
    SYSTEM2(symlink, "/proc/self/fd", "/dev/fd");
    SYSTEM2(symlink, "/proc/self/fd/0", "/dev/stdin");
    SYSTEM2(symlink, "/proc/self/fd/1", "/dev/stdout");
    SYSTEM2(symlink, "/proc/self/fd/2", "/dev/stderr");
}

static void start_loopback(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    long socket = SYSTEM3(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (socket < 0)
        return;
    SYSTEM3(ioctl, socket, SIOCSIFFLAGS, &request);
    SYSTEM1(close, socket);
}

/*
 * The kernel's environment for init (unknown NAME=value words of its command line included), with PATH and HOME, and
 * what the options add.
 */
static char **make_environment(char **given, char **added)
{
    static char *environment[MAX_ENVIRONMENT + MAX_VARIABLES + 3];
    size_t count = 0;

    environment[count++] = "PATH=" DEFAULT_PATH;
    environment[count++] = "HOME=/root";
    for (; *given && count < MAX_ENVIRONMENT + 2; given++)
        if (!text_starts_with(*given, "HOME=") && !text_starts_with(*given, "PATH="))
            environment[count++] = *given;
    while (*added)
        environment[count++] = *added++;
    environment[count] = NULL;
    return environment;
}

static int has_slash(const char *text)
{
    for (; *text; text++)
        if (*text == '/')
            return 1;
    return 0;
}

/* Executes `name`, looked for along DEFAULT_PATH unless it has a slash. Returns the errno of the failure. */
static long execute(const char *name, char **words, char **environment)
{
    static char candidate[4096];
    size_t name_size = text_length(name) + 1;
    long failure = ENOENT;
    const char *directory = DEFAULT_PATH;

    if (has_slash(name))
        return -SYSTEM3(execve, name, words, environment);
    while (name_size > 1 && *directory) {
        size_t length = 0;

        while (directory[length] && directory[length] != ':')
            length++;
        if (length + 1 + name_size > sizeof candidate)
            return ENAMETOOLONG;
        memcpy(candidate, directory, length);
        candidate[length] = '/';
        memcpy(candidate + length + 1, name, name_size);
        long error = -SYSTEM3(execve, candidate, words, environment);
        if (error != ENOENT && error != ENOTDIR)
            failure = error;
        directory += length + (directory[length] == ':');
    }
    return failure;
}

/* The child: a session of its own on the console, default signals, then the program. */
static void run_program(struct options *options, char **environment)
{
    static char *shell[] = { "-sh", NULL };
    unsigned long none = 0;
    int has_command = options->words[0] != NULL;
    const char *name = has_command ? options->words[0] : "/bin/sh";
    long error;

    console_control();
    SYSTEM4(rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    SYSTEM1(chdir, "/root");
    error = execute(name, has_command ? options->words : shell, environment);
    say("cannot run ", name, error == ENOENT ? ": not found" : "");
    SYSTEM1(exit_group, error == ENOENT ? 127 : 126);
}

static void __attribute__((noreturn)) leave(const struct options *options, unsigned how)
{
    console_drain();
    SYSTEM0(sync);
    if (options->quiet)
        write_file("/proc/sys/kernel/printk", "0");
    SYSTEM4(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, how, NULL);
    for (;;)
        SYSTEM0(pause);
}

/* Reports the exit status to the toolstack and powers the domain off. */
static void __attribute__((noreturn)) finish(const struct options *options, int status)
{
    char text[12];

    text_of_number(text, status);
    if (xenstore_write("data/xenith/exit-status", text) < 0)
        say("cannot report exit status ", text, " in xenstore");
    leave(options, LINUX_REBOOT_CMD_POWER_OFF);
}

/* Ends every other process, gently first. */
static void stop_everything(void)
{
    struct { long seconds, nanoseconds; } grace = { 0, 200 * 1000 * 1000 };

    SYSTEM2(kill, -1, SIGTERM);
    SYSTEM2(kill, -1, SIGCONT);
    SYSTEM2(nanosleep, &grace, NULL);
    SYSTEM2(kill, -1, SIGKILL);
}

/* Reaps children until none is waiting. Returns 1 when `program` was among them, with its status as a shell counts. */
static int reap(long program, int *status)
{
    int raw, ended = 0;
    long child;

    while ((child = SYSTEM4(wait4, -1, &raw, 1 /* WNOHANG */, NULL)) > 0)
        if (child == program) {
            *status = (raw & 0x7f) ? 128 + (raw & 0x7f) : (raw >> 8) & 0xff;
            ended = 1;
        }
    return ended;
}

static void __attribute__((noreturn)) supervise(const struct options *options, long program, unsigned long signals)
{
    int status = 0;

    for (;;) {
        unsigned how;

        switch (SYSTEM4(rt_sigtimedwait, &signals, NULL, NULL, sizeof signals)) {
        case SIGUSR1:
            how = LINUX_REBOOT_CMD_HALT;
            break;
        case SIGUSR2:
            how = LINUX_REBOOT_CMD_POWER_OFF;
            break;
        case SIGTERM:
            how = LINUX_REBOOT_CMD_RESTART;
            break;
        default:
            if (reap(program, &status))
                finish(options, status);
            continue;
        }
        stop_everything();
        leave(options, how);
    }
}

/* The options in xenstore, where the kernel's command line has none. How loud the kernel is, they say as well. */
static void await_options(struct options *options)
{
    static char text[4096];

    if (xenstore_await("data/xenith/options", "data/xenith/waiting", text, sizeof text) < 0) {
        say("no options in xenstore, at data/xenith/options", "", "");
        return;
    }
    options_parse(options, text);
    write_file("/proc/sys/kernel/printk", options->quiet ? "3" : "7");
}

/* Reads the options, and the command where they say it is. */
static void read_options(struct options *options)
{
    static char line[4096], command[4096];

    read_file("/proc/cmdline", line, sizeof line);
    options_parse(options, line);
    options->variables[0] = NULL; /* the kernel has them */
    if (options->options_in_xenstore)
        await_options(options);
    if (!options->command_in_xenstore)
        return;
    if (xenstore_read("data/xenith/command", command, sizeof command) < 0)
        options->bad = "no command that can be read in xenstore, at data/xenith/command";
    else
        options_parse_command(options, command);
}

/*
 * This is a copy of a guest that waited for its options. What would be the same in each copy, or late, is made its
 * own: the random numbers to come, out of the processor's, and the time of day.
 */
static void become_another(const struct options *options)
{
    struct timex step = { .modes = ADJ_SETOFFSET };
    long random = SYSTEM2(open, "/dev/urandom", O_RDWR | O_CLOEXEC);
    long micros = options->clock % 1000000;

    if (random < 0 || SYSTEM2(ioctl, random, RNDRESEEDCRNG) < 0)
        say("cannot make random numbers of its own", "", "");
    SYSTEM1(close, random);
    step.time.tv_sec = options->clock / 1000000 - (micros < 0);
    step.time.tv_usec = micros + (micros < 0 ? 1000000 : 0);
    if (SYSTEM1(adjtimex, &step) < 0)
        say("cannot set the time of day", "", "");
}

/* Entered from start.S with the process's first stack. */
void init_main(long *stack)
{
    static struct options options;
    char **environment = (char **)(stack + 1 + stack[0] + 1);
    unsigned long signals =
        SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGUSR1) | SIGNAL_BIT(SIGUSR2) | SIGNAL_BIT(SIGTERM);
    long program;

    SYSTEM4(rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof signals);
    mount_all();
    console_attach();
    start_loopback();
    read_options(&options);
    if (options.is_copy)
        become_another(&options);
    console_configure(&options);
    if (options.pipe && xenstore_write("data/xenith/console", "ready") < 0)
        say("cannot say in xenstore that the console is ready", "", "");
    if (options.hostname)
        SYSTEM2(sethostname, options.hostname, text_length(options.hostname));
    if (options.bad) {
        say("xenith.cmd: ", options.bad, "");
        finish(&options, STATUS_NOT_STARTED);
    }
    program = SYSTEM0(fork);
    if (program == 0)
        run_program(&options, make_environment(environment, options.variables));
    if (program < 0) {
        say("cannot start a process", "", "");
        finish(&options, STATUS_NOT_STARTED);
    }
    supervise(&options, program, signals);
}
