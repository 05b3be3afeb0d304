// Commands of HYPERVISOR_console_io: public/xen.h.

export const CONSOLEIO_write = 0, CONSOLEIO_read = 1;
