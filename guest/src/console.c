/*
 * Two ways of using the console.
 *
 * For a person the kernel's defaults are right: echo, line editing, signals from keys, newline to CR LF. The host's
 * terminal is raw.
 *
 * For pipes (xenith.console=pipe) the bytes must arrive as they are: no echo, no signals, no translation in either
 * direction. Input stays canonical because that is what carries an end of file: the host sends ^D for it. It sends
 * ^V before a data byte that is special in this mode (^D, ^V, ^?, ^U, ^W, ^R, NUL), and a ^D in the middle of a line longer than
 * 4,095 bytes, which delivers what was gathered without ending anything.
 */
#include "console.h"
#include "system.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>

struct window_size {
    unsigned short rows, columns, width, height;
};

long console_attach(void)
{
    long file = SYSTEM2(open, "/dev/hvc0", O_RDWR | O_NOCTTY);

    if (file < 0)
        return file;
    for (int standard = 0; standard <= 2; standard++)
        SYSTEM2(dup2, file, standard);
    if (file > 2)
        SYSTEM1(close, file);
    return 0;
}

void console_control(void)
{
    SYSTEM0(setsid);
    SYSTEM3(ioctl, 0, TIOCSCTTY, 1);
}

void console_configure(const struct options *options)
{
    struct window_size size = { options->rows, options->columns, 0, 0 };
    struct termios modes;

    if (options->rows > 0 && options->columns > 0)
        SYSTEM3(ioctl, 0, TIOCSWINSZ, &size);
    if (SYSTEM3(ioctl, 0, TCGETS, &modes) < 0)
        return;
    if (options->pipe) {
        modes.c_iflag &= ~(ICRNL | IXON);
        modes.c_oflag &= ~OPOST;
        modes.c_lflag &= ~(ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | ISIG);
    } else {
        modes.c_iflag |= IUTF8;
    }
    SYSTEM3(ioctl, 0, TCSETS, &modes);
}

void console_drain(void)
{
    SYSTEM3(ioctl, 0, TCSBRK, 1);
}
