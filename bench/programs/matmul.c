// Product of two matrices of doubles, row by row.

#include <string.h>
#include "rows.h"

enum { N = 200, ROUNDS = 2 };
static double a[N][N], b[N][N], c[N][N];

static void prepare(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = 1.0 / (i + j + 1);
            b[i][j] = (i - j) * 0.5;
        }
}

static uint64_t matmul(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        memset(c, 0, sizeof c);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++) {
                double x = a[i][k];
                for (int j = 0; j < N; j++)
                    c[i][j] += x * b[k][j];
            }
        escape(c);
    }
    return hash_bytes(c, sizeof c);
}

const struct row matmul_rows[] = {{.name = "matmul-f64", .group = "compute", .prepare = prepare, .work = matmul}, {0}};
