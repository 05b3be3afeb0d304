// Xen's ELF notes (public/elfnote.h): what a kernel tells the domain builder. Owner name "Xen"; numbers are 4 or 8
// bytes, strings end with a zero byte.

export const XEN_ELFNOTE = {
  INFO: 0,
  ENTRY: 1,
  HYPERCALL_PAGE: 2,
  VIRT_BASE: 3,
  PADDR_OFFSET: 4,
  XEN_VERSION: 5,
  GUEST_OS: 6,
  GUEST_VERSION: 7,
  LOADER: 8,
  PAE_MODE: 9,
  FEATURES: 10,
  BSD_SYMTAB: 11,
  HV_START_LOW: 12,
  L1_MFN_VALID: 13,
  SUSPEND_CANCEL: 14,
  INIT_P2M: 15,
  MOD_START_PFN: 16,
  SUPPORTED_FEATURES: 17,
  PHYS32_ENTRY: 18,
} as const;

export const XEN_ELFNOTE_MAX = 18;

/** Notes of a domain's core file, as Xen's dump-core writes it. */
export const XEN_ELFNOTE_DUMPCORE = { NONE: 0x200_0000, HEADER: 0x200_0001, XEN_VERSION: 0x200_0002, FORMAT_VERSION: 0x200_0003 } as const;
