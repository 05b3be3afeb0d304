// ELF64 files for x86-64 (System V gABI, chapter 4): sizes of the headers and what stands in them.

export const EHDR_SIZE = 64, PHDR_SIZE = 56, SHDR_SIZE = 64;
export const ELFCLASS64 = 2, ELFDATA2LSB = 1, EM_X86_64 = 62;
export const SHT_NOTE = 7;
