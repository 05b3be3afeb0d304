/* The few library functions that init needs. */
#include "system.h"

#include <fcntl.h>

size_t text_length(const char *text)
{
    size_t length = 0;

    while (text[length])
        length++;
    return length;
}

int text_starts_with(const char *text, const char *prefix)
{
    while (*prefix)
        if (*text++ != *prefix++)
            return 0;
    return 1;
}

int text_equal(const char *a, const char *b)
{
    return text_starts_with(a, b) && text_length(a) == text_length(b);
}

size_t text_of_number(char *out, int value)
{
    char digits[12];
    size_t count = 0, length = 0;
    unsigned rest = value < 0 ? -(unsigned)value : (unsigned)value;

    do
        digits[count++] = '0' + rest % 10;
    while (rest /= 10);
    if (value < 0)
        out[length++] = '-';
    while (count)
        out[length++] = digits[--count];
    out[length] = 0;
    return length;
}

int number_of_text(const char *text)
{
    int value = 0;

    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = value * 10 + (*text - '0');
        if (value > 65535)
            return -1;
    }
    return value;
}

int long_of_text(const char *text, long *value)
{
    int negative = *text == '-';
    size_t digits = 0;
    long number = 0;

    for (text += negative; *text >= '0' && *text <= '9' && digits < 18; text++, digits++)
        number = number * 10 + (*text - '0');
    if (*text || !digits)
        return -1;
    *value = negative ? -number : number;
    return 0;
}

long read_file(const char *path, char *out, size_t capacity)
{
    size_t length = 0;
    long file = SYSTEM2(open, path, O_RDONLY | O_CLOEXEC);
    long got = file;

    out[0] = 0;
    if (file < 0)
        return file;
    while (length < capacity - 1) {
        got = SYSTEM3(read, file, out + length, capacity - 1 - length);
        if (got <= 0)
            break;
        length += got;
    }
    out[length] = 0;
    SYSTEM1(close, file);
    return got < 0 ? got : (long)length;
}

long write_file(const char *path, const char *text)
{
    long file = SYSTEM2(open, path, O_WRONLY | O_CLOEXEC);
    long got;

    if (file < 0)
        return file;
    got = SYSTEM3(write, file, text, text_length(text));
    SYSTEM1(close, file);
    return got < 0 ? got : 0;
}

void say(const char *first, const char *second, const char *third)
{
    const char *parts[] = { "init: ", first, second, third, "\n" };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        SYSTEM3(write, 2, parts[i], text_length(parts[i]));
}

/* The compiler may call these for initialisers and copies. */
void *memset(void *to, int value, size_t count)
{
    void *start = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
    return start;
}

void *memcpy(void *to, const void *from, size_t count)
{
    void *start = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return start;
}
