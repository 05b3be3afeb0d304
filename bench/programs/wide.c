// 128-bit arithmetic: a factorial of big digits and modular powers, with carries, wide products and wide divisions. C has it
// where registers have 64 bits only: there is no such row in a 32-bit build.

#include <string.h>
#include "rows.h"

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 u128;
enum { DIGITS = 320, FACTORIAL = 2000, FACTORIALS = 6, POWERS = 4000 };

// Carries and products over 64-bit digits.
static uint64_t factorial(void)
{
    static uint64_t digits[DIGITS];
    memset(digits, 0, sizeof digits);
    digits[0] = 1;
    int used = 1;
    for (uint64_t n = 2; n <= FACTORIAL; n++) {
        uint64_t carry = 0;
        for (int i = 0; i < used; i++) {
            u128 product = (u128)digits[i] * n + carry;
            digits[i] = (uint64_t)product;
            carry = (uint64_t)(product >> 64);
        }
        if (carry)
            digits[used++] = carry;
    }
    return hash_bytes(digits, sizeof digits);
}

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t modulus)
{
    uint64_t result = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            result = (uint64_t)((u128)result * base % modulus);
        base = (uint64_t)((u128)base * base % modulus);
    }
    return result;
}

static uint64_t wide(void)
{
    uint64_t state = 362436069u, sum = 0;
    for (int i = 0; i < FACTORIALS; i++)
        sum += factorial();
    for (int i = 0; i < POWERS; i++)
        sum += power(next_random(&state) >> 1, next_random(&state), 0xffffffffffffffc5u);
    return sum;
}

const struct row wide_rows[] = {{.name = "128-bit", .group = "compute", .work = wide}, {0}};
#else
const struct row wide_rows[] = {{0}};
#endif
