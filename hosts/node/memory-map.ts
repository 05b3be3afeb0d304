// What holds the bytes of a memory: mmap(2) over parts of it, by Node's own foreign function interface. Memory that guests have given
// back goes back to the machine, and memories have pages in common until they write to them: those of a file that has no name
// (memfd_create(2)), mapped privately.
//
// V8 can do neither (2026-11, Node 26.10, V8 14.6): with --experimental-wasm-memory-control there is no memory.discard instruction
// (opcodes fc 12 and fc 13 are invalid), and WebAssembly.MemoryMapDescriptor refuses memories that are shared. node:ffi, which that
// Node has without a flag, lets mmap be called; a memory is unmapped as a whole when V8 frees it, whatever lies in it. A call for one
// page takes 15 to 50 us. Elsewhere, and with an older Node, nothing is given back and nothing is in common.
//
// Pages of zeros are mapped anew, where madvise(MADV_DONTNEED) would be half as long: where a file is mapped that brings back the
// file's bytes. With V8's flags, MAP_NORESERVE and MADV_DONTFORK, the kernel joins them to what is beside them: it allows a process
// 65,530 mappings.

import { closeSync, fstatSync, ftruncateSync } from 'node:fs';
import type { CommonMemories, CommonMemory } from '#base/host.ts';
import { Wasm, type WasmMemory } from '#base/webassembly.ts';
import { quietly } from './quietly.ts';

// Linux on x86-64 and arm64: asm-generic/mman-common.h
const PROT_READ_WRITE = 3, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000;
const MADV_DONTFORK = 10, MADV_HUGEPAGE = 14, MADV_COLLAPSE = 25, MFD_CLOEXEC = 1;
const WASM_PAGE = 0x1_0000;

type Call = (...args: (bigint | number)[]) => number | bigint;
interface Ffi {
  dlopen(path: null, functions: Readonly<Record<string, { readonly return: string; readonly arguments: readonly string[] }>>): { readonly functions: Readonly<Record<string, Call>> };
  getRawPointer(buffer: SharedArrayBuffer | Uint8Array): bigint;
}
interface System {
  readonly pageSize: number;
  readonly ffi: Ffi;
  readonly mmap: Call;
  readonly madvise: Call;
  readonly memfd: Call;
}

/** As Host.discard. */
export function discard(memory: WasmMemory, offset: number, bytes: number): void {
  system ??= open();
  if (system === null) return;
  const { pageSize } = system;
  const first = Math.ceil(offset / pageSize) * pageSize, end = Math.floor((offset + bytes) / pageSize) * pageSize;
  if (first < end) map(system, memory, first, end - first, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/**
 * As Host.inHugePages. The first access to a page of 4 KiB takes 3 to 10 us, where this process has no machine of its own: with pages of
 * 2 MiB a boot of Debian's kernel takes a tenth less (2026-11).
 */
export function inHugePages(memory: WasmMemory): void {
  system ??= open();
  system?.madvise(system.ffi.getRawPointer(memory.buffer), BigInt(memory.buffer.byteLength), MADV_HUGEPAGE);
}

/** Puts what lies at an address into huge pages now. @returns whether the kernel did */
export function collapse(at: bigint, bytes: bigint): boolean {
  system ??= open();
  return system?.madvise(at, bytes, MADV_COLLAPSE) === 0;
}
/** Where a memory is in this process. There has to be a way to ask. */
export function addressOf(memory: WasmMemory): bigint { return (system ??= open())?.ffi.getRawPointer(memory.buffer) ?? 0n; }

/** As Host.common; undefined: there is no way here. */
export function commonMemories(): CommonMemories | undefined {
  system ??= open();
  const sys = system;
  if (sys) commons ??= { create: (bytes) => create(sys, bytes), put: (...parameters) => put(sys, ...parameters) };
  return commons;
}
let commons: CommonMemories | undefined;

const NAME = new TextEncoder().encode('xenith\0');
function create(sys: System, bytes: number): CommonMemory | undefined {
  const pages = Math.ceil(bytes / WASM_PAGE), file = Number(sys.memfd(sys.ffi.getRawPointer(NAME), MFD_CLOEXEC));
  if (file < 0) return undefined;
  try {
    ftruncateSync(file, pages * WASM_PAGE);
    const memory = new Wasm.Memory({ initial: pages, maximum: pages, shared: true });
    if (!map(sys, memory, 0, pages * WASM_PAGE, MAP_SHARED, file, 0)) throw new RangeError('no mapping');
    const common: CommonMemory = { memory, file, inode: fstatSync(file).ino };
    closer.register(common, file);
    return common;
  } catch {
    closeSync(file);
    return undefined;
  }
}
/** Mappings stay. Another thread that still has it finds that the file is gone. */
const closer = new FinalizationRegistry<number>((file) => { closeSync(file); });

function put(sys: System, { file, inode }: CommonMemory, from: number, memory: WasmMemory, offset: number, bytes: number): boolean {
  for (const n of [from, offset, bytes]) if (n % sys.pageSize !== 0) return false;
  if (!isFile(file, inode) || !map(sys, memory, offset, bytes, MAP_PRIVATE, file, from)) return false;
  if (isFile(file, inode)) return true;
  map(sys, memory, offset, bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); // another thread has closed it in between: whose number it is now is not known
  return false;
}
function isFile(file: number, inode: number): boolean {
  try {
    return fstatSync(file).ino === inode;
  } catch {
    return false;
  }
}

function map({ ffi, mmap, madvise }: System, memory: WasmMemory, offset: number, bytes: number, flags: number, file: number, from: number): boolean {
  const at = ffi.getRawPointer(memory.buffer) + BigInt(offset);
  if (mmap(at, BigInt(bytes), PROT_READ_WRITE, flags | MAP_FIXED | MAP_NORESERVE, file, BigInt(from)) !== at) return false;
  madvise(at, BigInt(bytes), MADV_DONTFORK);
  return true;
}

/** Null: there is no way. */
let system: System | null | undefined;
function open(): System | null {
  if (process.platform !== 'linux') return null;
  try {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi' as 'node:fs') as unknown as Ffi | undefined);
    if (!ffi) return null;
    const { functions } = ffi.dlopen(null, {
      getpagesize: { return: 'i32', arguments: [] },
      mmap: { return: 'u64', arguments: ['u64', 'u64', 'i32', 'i32', 'i32', 'i64'] },
      madvise: { return: 'i32', arguments: ['u64', 'u64', 'i32'] },
      memfd_create: { return: 'i32', arguments: ['u64', 'u32'] },
    });
    const { getpagesize, mmap, madvise, memfd_create: memfd } = functions;
    if (!getpagesize || !mmap || !madvise || !memfd) return null;
    return { pageSize: Number(getpagesize()), ffi, mmap, madvise, memfd };
  } catch {
    return null; // not allowed, or not as it was
  }
}
