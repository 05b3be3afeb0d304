/*
 * A QEMU plugin that counts what a domain's kernel executes under Xen in QEMU.
 *
 * The default guest's kernel lies at 0xffffffff80200000 to 0xffffffff81000000, below where a stock Domain-0 kernel
 * begins, so the address of an instruction tells whose it is. Counted are translation blocks, each with all its
 * instructions: a block that a fault leaves in its middle counts fully, and a repeated string instruction counts
 * with the rest of its block for each repetition. At the end the counts are written, a line per block: address,
 * instructions.
 *
 * The declarations are those of QEMU's plugin interface, version 1 (QEMU, docs/devel/tcg-plugins.rst), which Debian
 * has in QEMU but in no package of headers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*ended_t)(qemu_plugin_id_t, void *);

enum { INLINE_ADD_U64 };

EXPORT int qemu_plugin_version = 1;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translated_t translated);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int op, void *counter, uint64_t by);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, ended_t ended, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);

static const uint64_t start = 0xffffffff80200000, end = 0xffffffff81000000;
static uint64_t *counters; /* by address - start */
static const char *output = "count.txt";

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    uint64_t address = qemu_plugin_tb_vaddr(block);

    (void)id;
    if (address >= start && address < end)
        qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &counters[address - start],
                                                 qemu_plugin_tb_n_insns(block));
}

static void ended(qemu_plugin_id_t id, void *data)
{
    FILE *file = fopen(output, "w");

    (void)id, (void)data;
    if (!file) {
        perror(output);
        return;
    }
    for (uint64_t at = 0; at < end - start; at++)
        if (counters[at])
            fprintf(file, "%016" PRIx64 " %" PRIu64 "\n", start + at, counters[at]);
    fclose(file);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "output=", 7))
            output = strdup(argv[i] + 7);
    counters = calloc(end - start, sizeof *counters);
    if (!counters)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
