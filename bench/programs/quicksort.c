// Quicksort of random integers, by recursion.

#include "rows.h"

enum { COUNT = 400000 };
static int numbers[COUNT];

static void sort(int *a, int low, int high)
{
    int i = low, j = high, pivot = a[low + (high - low) / 2];
    while (i <= j) {
        while (a[i] < pivot)
            i++;
        while (a[j] > pivot)
            j--;
        if (i <= j) {
            int t = a[i];
            a[i++] = a[j];
            a[j--] = t;
        }
    }
    if (low < j)
        sort(a, low, j);
    if (i < high)
        sort(a, i, high);
}

static uint64_t quicksort(void)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < COUNT; i++)
        numbers[i] = (int)next_random(&state);
    sort(numbers, 0, COUNT - 1);
    uint64_t sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum = sum * 31 + (uint32_t)numbers[i];
    return sum;
}

const struct row quicksort_rows[] = {{.name = "quicksort", .group = "compute", .work = quicksort}, {0}};
