// Pointer chase through 4 MiB in random order: each load needs the one before.

#include "rows.h"

enum { COUNT = (4 << 20) / sizeof(void *), STEPS = 3000000 };
static void *cells[COUNT];
static uint32_t order[COUNT];

static void prepare(void)
{
    uint64_t state = 2463534242u;
    for (uint32_t i = 0; i < COUNT; i++)
        order[i] = i;
    for (uint32_t i = COUNT - 1; i > 0; i--) {
        uint32_t j = next_random(&state) % (i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        cells[order[i]] = &cells[order[(i + 1) % COUNT]];
}

static uint64_t chase(void)
{
    void **p = &cells[order[0]];
    for (int i = 0; i < STEPS; i++)
        p = *p;
    return (uint64_t)((void **)p - cells);
}

const struct row chase_rows[] = {{.name = "pointer-chase", .group = "compute", .prepare = prepare, .work = chase}, {0}};
