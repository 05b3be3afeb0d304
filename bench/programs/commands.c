// Programs that were not written for this: busybox and Python, each as a process of its own.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "rows.h"

enum { LINES = 20000, FOLDERS = 20, FILES = 20 };

// tmp/lines: text with numbers, some 700 KB.
static void make_lines(void)
{
    static const char *const words[] = {"domain", "vcpu", "hypercall", "event", "channel", "grant", "frame", "ring"};
    uint64_t state = 1234567u;
    FILE *f = fopen("tmp/lines", "w");
    need(f != NULL, "tmp/lines");
    for (int i = 0; i < LINES; i++) {
        uint64_t r = next_random(&state);
        fprintf(f, "%08x %s %s %u %s\n", (unsigned)r, words[r >> 32 & 7], words[r >> 40 & 7], (unsigned)(r >> 48), words[r >> 36 & 7]);
    }
    fclose(f);
}

// tmp/tree: folders of empty files.
static void make_tree(void)
{
    char path[64];
    if (mkdir("tmp/tree", 0755) != 0)
        return; // it is there already
    for (int i = 0; i < FOLDERS; i++) {
        snprintf(path, sizeof path, "tmp/tree/%d", i);
        need(mkdir(path, 0755) == 0, path);
        for (int j = 0; j < FILES; j++) {
            snprintf(path, sizeof path, "tmp/tree/%d/file%d.%c", i, j, j & 1 ? 'c' : 'h');
            int f = open(path, O_WRONLY | O_CREAT, 0644);
            need(f >= 0 && close(f) == 0, path);
        }
    }
}

#define BUSYBOX(...) .group = "busybox", .command = (const char *const[]){"bin/busybox", __VA_ARGS__, NULL}
#define PYTHON(...) .group = "python", .command = (const char *const[]){"/usr/bin/python3", "-S", "-B", __VA_ARGS__, NULL}

const struct row command_rows[] = {
    {.name = "gzip", .prepare = make_lines, BUSYBOX("gzip", "-c", "tmp/lines")},
    {.name = "bzip2", .prepare = make_lines, BUSYBOX("bzip2", "-c", "tmp/lines")},
    {.name = "sha256sum", .prepare = make_lines, BUSYBOX("sha256sum", "tmp/lines", "tmp/lines", "tmp/lines", "tmp/lines", "tmp/lines", "tmp/lines")},
    {.name = "sort", .prepare = make_lines, BUSYBOX("sort", "-k", "4", "-n", "tmp/lines")},
    {.name = "awk", .prepare = make_lines, BUSYBOX("awk", "{ n[$2] += $4; l += length($5) } END { print l; for (w in n) print w, n[w] }", "tmp/lines")},
    {.name = "find", .prepare = make_tree, BUSYBOX("sh", "-c", "for i in 1 2 3 4; do bin/busybox find tmp/tree -name '*1.c' -type f; done | bin/busybox sort")},
    {.name = "sh-loop", BUSYBOX("sh", "-c", "i=0; s=0; while [ $i -lt 8000 ]; do s=$((s + i * i % 7)); i=$((i + 1)); done; echo $s")},
    {.name = "python-start", PYTHON("-c", "pass")},
    {.name = "python-nbody", PYTHON("python/nbody.py")},
    {.name = "python-queens", PYTHON("python/queens.py")},
    {.name = "python-text", PYTHON("python/text.py")},
    {.name = "python-objects", PYTHON("python/objects.py")},
    {0},
};
