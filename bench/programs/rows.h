// A row is one measured piece of work. Each file here defines some, main.c lists and runs them. The work is fixed: it does
// not depend on how fast the machine is, and what it returns is the same on every right machine.

#ifndef ROWS_H
#define ROWS_H

#include <stdint.h>

struct row {
    const char *name;
    const char *group;
    // Makes what the work needs, once in a process and outside the measurement; may be missing.
    void (*prepare)(void);
    // The work. Returns a checksum of its result.
    uint64_t (*work)(void);
    // In place of work: a command, NULL at its end, whose output goes into the file tmp/out.
    const char *const *command;
};

// Rows by file, each list ended by a row without a name.
extern const struct row sieve_rows[], quicksort_rows[], matmul_rows[], sha256_rows[], chase_rows[], copy_rows[], bytecode_rows[],
    wide_rows[], text_rows[], calls_rows[], signal_rows[], process_rows[], switch_rows[], memory_rows[], command_rows[];

// Ends the process with a message if ok is false.
void need(int ok, const char *what);

// The next number of a fixed sequence (xorshift64).
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// FNV-1a over bytes.
static inline uint64_t hash_bytes(const void *bytes, uint64_t length)
{
    const unsigned char *p = bytes;
    uint64_t hash = 0xcbf29ce484222325u;
    while (length--)
        hash = (hash ^ *p++) * 0x100000001b3u;
    return hash;
}

// Makes the compiler believe that the memory at p is read and written here.
static inline void escape(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

#endif
