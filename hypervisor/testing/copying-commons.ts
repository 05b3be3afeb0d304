// Common memories of a host that cannot map: what is put somewhere is copied there. For tests.

import type { CommonMemories } from '#base/host.ts';
import { Wasm, type WasmMemory } from '#base/webassembly.ts';

/** @param told of what is put where */
export function copyingCommons(told: (memory: WasmMemory, offset: number, bytes: number) => void): CommonMemories {
  return {
    create: (bytes) => ({ memory: new Wasm.Memory({ initial: Math.ceil(bytes / 0x1_0000), maximum: Math.ceil(bytes / 0x1_0000), shared: true }), file: 1, inode: 1 }),
    put: (common, from, memory, offset, bytes) => {
      told(memory, offset, bytes);
      new Uint8Array(memory.buffer).set(new Uint8Array(common.memory.buffer, from, bytes), offset);
      return true;
    },
  };
}
