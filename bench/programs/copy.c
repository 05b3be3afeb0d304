// memcpy and memset, as the C library does them: large blocks and small ones.

#include <string.h>
#include "rows.h"

enum { LARGE = 1 << 20, LARGE_ROUNDS = 200, SMALL_ROUNDS = 1500000 };
static unsigned char from[LARGE], to[LARGE];

static void prepare(void)
{
    for (int i = 0; i < LARGE; i++)
        from[i] = (unsigned char)(i * 13);
}

static uint64_t large(void)
{
    for (int i = 0; i < LARGE_ROUNDS; i++) {
        memset(to, i, LARGE);
        escape(to);
        memcpy(to, from, LARGE - i);
        escape(to);
    }
    return hash_bytes(to + LARGE - 4096, 4096);
}

static uint64_t small(void)
{
    for (int i = 0; i < SMALL_ROUNDS; i++) {
        volatile size_t length = 8 + (i & 127);
        memcpy(to + (i & 1023), from + (i >> 4 & 1023), length);
        escape(to);
    }
    return hash_bytes(to, 4096);
}

const struct row copy_rows[] = {
    {.name = "memcpy-large", .group = "compute", .prepare = prepare, .work = large},
    {.name = "memcpy-small", .group = "compute", .prepare = prepare, .work = small},
    {0},
};
