// Sieve of Eratosthenes: byte stores with a growing stride.

#include <string.h>
#include "rows.h"

enum { LIMIT = 2000000, ROUNDS = 2 };
static unsigned char composite[LIMIT];

static uint64_t sieve(void)
{
    uint64_t primes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memset(composite, 0, LIMIT);
        for (int i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            primes++;
            for (int j = 2 * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
    }
    return primes;
}

const struct row sieve_rows[] = {{.name = "sieve", .group = "compute", .work = sieve}, {0}};
