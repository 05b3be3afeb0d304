/*
 * The system as init sees it: raw system calls, a few string functions, no C library.
 *
 * Without a C library the program is a few kilobytes, starts in a few thousand instructions and needs no relocation,
 * which matters because it runs on every boot of an interpreted processor. Calls return what the kernel returns: a
 * value, or a negative errno.
 */
#ifndef XENITH_SYSTEM_H
#define XENITH_SYSTEM_H

#include <stddef.h>
#include <sys/syscall.h>

static inline long syscall5(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

#define SYSTEM5(name, a, b, c, d, e) \
    syscall5(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define SYSTEM4(name, a, b, c, d) SYSTEM5(name, a, b, c, d, 0)
#define SYSTEM3(name, a, b, c) SYSTEM5(name, a, b, c, 0, 0)
#define SYSTEM2(name, a, b) SYSTEM5(name, a, b, 0, 0, 0)
#define SYSTEM1(name, a) SYSTEM5(name, a, 0, 0, 0, 0)
#define SYSTEM0(name) SYSTEM5(name, 0, 0, 0, 0, 0)

size_t text_length(const char *text);
int text_starts_with(const char *text, const char *prefix);
int text_equal(const char *a, const char *b);

/* Writes `value` in decimal at `out`, which has room for 12 bytes, and returns its length without the final NUL. */
size_t text_of_number(char *out, int value);

/* Reads a decimal number of at most 65535; -1 when `text` is anything else. */
int number_of_text(const char *text);

/* Reads a decimal number of at most 18 digits, with a minus sign or without. Returns 0, or -1 when `text` is anything else. */
int long_of_text(const char *text, long *value);

void *memset(void *to, int value, size_t count);
void *memcpy(void *to, const void *from, size_t count);

/* Reads a whole small file into `out` and ends it with a NUL. Returns the length, or a negative errno. */
long read_file(const char *path, char *out, size_t capacity);

/* Writes `text` to an existing file. Returns 0 or a negative errno. */
long write_file(const char *path, const char *text);

/* One line on the console, in three parts, each of which may be empty. */
void say(const char *first, const char *second, const char *third);

#endif
