// Strings and a hash table: words are made, looked up, counted, compared and formatted.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rows.h"

enum { WORDS = 60000, BUCKETS = 8192 };
struct entry {
    struct entry *next;
    int count;
    char word[24];
};
static struct entry *table[BUCKETS], pool[WORDS];
static int used;

static void count(const char *word)
{
    struct entry **slot = &table[hash_bytes(word, strlen(word)) % BUCKETS];
    for (; *slot; slot = &(*slot)->next)
        if (strcmp((*slot)->word, word) == 0) {
            (*slot)->count++;
            return;
        }
    struct entry *e = &pool[used++];
    strcpy(e->word, word);
    e->count = 1;
    e->next = NULL;
    *slot = e;
}

static int by_count(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    return a->count != b->count ? b->count - a->count : strcmp(a->word, b->word);
}

static uint64_t text(void)
{
    uint64_t state = 521288629u;
    char word[24];
    memset(table, 0, sizeof table);
    used = 0;
    for (int i = 0; i < WORDS; i++) {
        uint64_t r = next_random(&state);
        snprintf(word, sizeof word, "%s%u", r & 1 ? "frame-" : "event.", (unsigned)((r >> 8) % 9973));
        count(strchr(word, '-') ? word : strstr(word, "vent"));
    }
    qsort(pool, (size_t)used, sizeof *pool, by_count);
    uint64_t sum = 0;
    for (int i = 0; i < used; i++)
        sum = sum * 31 + hash_bytes(pool[i].word, strlen(pool[i].word)) + (uint64_t)pool[i].count;
    return sum;
}

const struct row text_rows[] = {{.name = "strings-hash", .group = "compute", .work = text}, {0}};
