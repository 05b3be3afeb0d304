/* Preloaded, lets `xl -N create` run without Xen: its dry run asks the hypervisor nothing but what is answered here. */

#include <stdlib.h>
#include <libxl.h>
#include <libxl_utils.h>

static void *handle(void) { return calloc(1, 65536); }

void *xc_interface_open(void *a, void *b, unsigned c) { return handle(); }
int xc_interface_close(void *a) { return 0; }
void *xencall_open(void *a, unsigned b) { return handle(); }
void *xenevtchn_open(void *a, unsigned b) { return handle(); }
int xenevtchn_close(void *a) { return 0; }
void *xs_open(unsigned long a) { return handle(); }
void xs_close(void *a) {}

int libxl_get_physinfo(libxl_ctx *ctx, libxl_physinfo *info) { return 0; }

const libxl_version_info *libxl_get_version_info(libxl_ctx *ctx)
{
    static libxl_version_info info = { .xen_version_major = 4, .xen_version_minor = 17, .capabilities = "xen-3.0-x86_64", .commandline = "" };
    return &info;
}

int libxl_cpu_bitmap_alloc(libxl_ctx *ctx, libxl_bitmap *map, int cpus) { return libxl_bitmap_alloc(ctx, map, cpus ? cpus : 64); }
int libxl_node_bitmap_alloc(libxl_ctx *ctx, libxl_bitmap *map, int nodes) { return libxl_bitmap_alloc(ctx, map, nodes ? nodes : 8); }
