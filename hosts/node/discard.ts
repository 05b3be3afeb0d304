// Memory that guests have given back goes back to the machine: madvise(2), by Node's own foreign function interface.
//
// V8 has no way to do this (2026-11, Node 26.10, V8 14.6): with --experimental-wasm-memory-control there is no memory.discard
// instruction (opcodes fc 12 and fc 13 are invalid), and WebAssembly.MemoryMapDescriptor refuses memories that are shared. node:ffi,
// which that Node has without a flag, lets madvise be called: 200 MiB of a shared memory that were written are no longer resident
// 20 ms later, on every thread. A call for one page takes 2 to 13 us. Elsewhere, and with an older Node, nothing is given back.

import type { WasmMemory } from '#base/webassembly.ts';
import { quietly } from './quietly.ts';

const MADV_DONTNEED = 4; // Linux: private memory without a file reads as zeros from then on

interface Ffi {
  dlopen(path: null, functions: Readonly<Record<string, { readonly return: string; readonly arguments: readonly string[] }>>): { readonly functions: Readonly<Record<string, (...args: (bigint | number)[]) => number>> };
  getRawPointer(buffer: SharedArrayBuffer): bigint;
}
interface System {
  readonly pageSize: number;
  address(buffer: SharedArrayBuffer): bigint;
  madvise(address: bigint, length: bigint, advice: number): number;
}

/** As Host.discard. */
export function discard(memory: WasmMemory, offset: number, bytes: number): void {
  system ??= open();
  if (system === null) return;
  const { pageSize } = system;
  const first = Math.ceil(offset / pageSize) * pageSize, end = Math.floor((offset + bytes) / pageSize) * pageSize;
  if (first < end) system.madvise(system.address(memory.buffer) + BigInt(first), BigInt(end - first), MADV_DONTNEED);
}

/** Null: there is no way. */
let system: System | null | undefined;
function open(): System | null {
  if (process.platform !== 'linux') return null;
  try {
    const ffi = quietly(() => process.getBuiltinModule('node:ffi' as 'node:fs') as unknown as Ffi | undefined);
    if (!ffi) return null;
    const { functions } = ffi.dlopen(null, { madvise: { return: 'i32', arguments: ['u64', 'u64', 'i32'] }, getpagesize: { return: 'i32', arguments: [] } });
    const { madvise, getpagesize } = functions;
    if (!madvise || !getpagesize) return null;
    return { pageSize: getpagesize(), address: (buffer) => ffi.getRawPointer(buffer), madvise };
  } catch {
    return null; // not allowed, or not as it was
  }
}
