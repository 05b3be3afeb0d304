// Address spaces: fresh pages, pages of a file, and mappings made and dropped.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "rows.h"

enum { PAGE = 4096, FRESH = 4000, MAPS = 3000, FILE_SIZE = 8 << 20, AROUND = 16 * PAGE, FILE_ROUNDS = 25, SMALL = 64 << 10 };
static int file;

static unsigned char *map(uint64_t size, int flags, int descriptor)
{
    unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, descriptor, 0);
    need(p != MAP_FAILED, "mmap");
    return p;
}

// A write to each page of fresh memory.
static uint64_t fresh(void)
{
    unsigned char *p = map((uint64_t)FRESH * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    madvise(p, (uint64_t)FRESH * PAGE, MADV_NOHUGEPAGE);
    for (int i = 0; i < FRESH; i++)
        p[i * PAGE] = 1;
    munmap(p, (uint64_t)FRESH * PAGE);
    return FRESH;
}

static void make_file(void)
{
    static unsigned char block[PAGE];
    file = open("tmp/pages", O_RDWR | O_CREAT | O_TRUNC, 0600);
    need(file >= 0 && unlink("tmp/pages") == 0, "tmp/pages");
    for (int i = 0; i < FILE_SIZE; i += PAGE) {
        block[0] = (unsigned char)(i / PAGE);
        need(write(file, block, PAGE) == PAGE, "write of tmp/pages");
    }
}

// A read in each 64 KiB of a mapped file: Linux maps that much of it at one fault.
static uint64_t file_pages(void)
{
    uint64_t sum = 0;
    for (int round = 0; round < FILE_ROUNDS; round++) {
        unsigned char *p = map(FILE_SIZE, MAP_SHARED, file);
        for (int i = 0; i < FILE_SIZE; i += AROUND)
            sum += p[i];
        munmap(p, FILE_SIZE);
    }
    return sum;
}

static uint64_t maps(void)
{
    for (int i = 0; i < MAPS; i++) {
        unsigned char *p = map(SMALL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        p[0] = 1;
        munmap(p, SMALL);
    }
    return MAPS;
}

const struct row memory_rows[] = {
    {.name = "page-fault", .group = "kernel", .work = fresh},
    {.name = "page-fault-file", .group = "kernel", .prepare = make_file, .work = file_pages},
    {.name = "mmap-munmap", .group = "kernel", .work = maps},
    {0},
};
