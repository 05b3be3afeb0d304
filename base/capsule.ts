// The capsule: one shared WebAssembly memory that holds everything a domain is. Saved part first (vCPU contexts,
// hypervisor state, frame table, frames), scratch part last (TLBs, decoded code): a snapshot is a copy of
// [0, scratch).
//
//   0x000000  64 KiB never used: a null offset is always a bug
//   0x010000  vCPU contexts, 16 KiB each: the register file, then the hypervisor's part of it
//   0x090000  the hypervisor's domain state
//   0x100000  frame table, 16 bytes a frame
//   frames    frame n at frames + n × 4096. Frame numbers are the domain's own: [0, xenFrames) are Xen's (shared
//             info, grant frames, m2p, Xen's page tables), the guest's RAM follows: mfn = xenFrames + first pfn
//   scratch   recomputable: MMU contexts, operation records, flags of frames
//
// Frame numbers (mfn) stay below 2^20, so a capsule offset is a number below 2^32.

import { assert } from './assert.ts';
import { Wasm, type WasmMemory } from './webassembly.ts';

export const PAGE_SIZE = 4096;
export const VCPU_BASE = 0x1_0000;
export const VCPU_STRIDE = 0x4000;
export const MAX_VCPUS = 32;
/** offset of the hypervisor's part within a vCPU context; its size is VCPU_STRIDE - VCPU_HV */
export const VCPU_HV = 0x1000;
export const DOMAIN_BASE = 0x9_0000;
export const DOMAIN_SIZE = 0x7_0000;
export const FRAME_TABLE = 0x10_0000;
export const FRAME_INFO_SIZE = 16;

const align = (n: number, to: number): number => Math.ceil(n / to) * to;

/** A capsule as another thread gets it. */
export interface CapsuleShape {
  readonly memory: WasmMemory;
  readonly guestFrames: number;
  readonly xenFrames: number;
  readonly scratchSize: number;
}

/** Does the page at this offset hold nothing but zeros? */
export function isZeroPage({ u32 }: Capsule, offset: number): boolean {
  for (let i = offset / 4, end = i + PAGE_SIZE / 4; i < end; i++) if (u32[i] !== 0) return false;
  return true;
}

export class Capsule {
  readonly memory: WasmMemory;
  readonly buffer: SharedArrayBuffer;
  readonly u8: Uint8Array<SharedArrayBuffer>;
  readonly u16: Uint16Array<SharedArrayBuffer>;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly i32: Int32Array<SharedArrayBuffer>;
  readonly u64: BigUint64Array<SharedArrayBuffer>;
  readonly f64: Float64Array<SharedArrayBuffer>;
  readonly dv: DataView<SharedArrayBuffer>;
  /** frames that belong to Xen, numbers [0, xenFrames) */
  readonly xenFrames: number;
  /** frames of guest RAM, numbers [xenFrames, totalFrames) */
  readonly guestFrames: number;
  readonly totalFrames: number;
  /** capsule offset of frame 0 */
  readonly frames: number;
  /** capsule offset and size in bytes of the scratch part */
  readonly scratch: number;
  readonly scratchSize: number;

  /**
   * @param guestFrames guest RAM in 4 KiB frames
   * @param xenFrames frames for Xen's own use, before the guest's
   * @param scratchSize bytes for what can be recomputed
   * @param memory that of a capsule of the same sizes, to look at it from another thread; otherwise a new one, all zeros
   * @throws RangeError when the sum does not fit one 4 GiB memory
   */
  constructor(guestFrames: number, xenFrames: number, scratchSize: number, memory?: WasmMemory) {
    this.xenFrames = xenFrames;
    this.guestFrames = guestFrames;
    this.totalFrames = xenFrames + guestFrames;
    this.frames = align(FRAME_TABLE + this.totalFrames * FRAME_INFO_SIZE, 0x1_0000);
    this.scratch = align(this.frames + this.totalFrames * PAGE_SIZE, 0x1_0000);
    this.scratchSize = scratchSize;
    const pages = Math.ceil((this.scratch + scratchSize) / 0x1_0000);
    if (pages > 0x1_0000) throw new RangeError(`a domain of ${guestFrames / 256} MiB does not fit one 4 GiB memory`);
    this.memory = memory ?? new Wasm.Memory({ initial: pages, maximum: pages, shared: true });
    this.buffer = this.memory.buffer;
    this.u8 = new Uint8Array(this.buffer);
    this.u16 = new Uint16Array(this.buffer);
    this.u32 = new Uint32Array(this.buffer);
    this.i32 = new Int32Array(this.buffer);
    this.u64 = new BigUint64Array(this.buffer);
    this.f64 = new Float64Array(this.buffer);
    this.dv = new DataView(this.buffer);
    assert(this.buffer.byteLength === pages * 0x1_0000, 'the memory is that of a capsule of these sizes');
  }

  static attach({ guestFrames, xenFrames, scratchSize, memory }: CapsuleShape): Capsule { return new Capsule(guestFrames, xenFrames, scratchSize, memory); }
  get shape(): CapsuleShape { return { memory: this.memory, guestFrames: this.guestFrames, xenFrames: this.xenFrames, scratchSize: this.scratchSize }; }

  /** Capsule offset of a frame's first byte. The frame must exist. */
  frame(mfn: number): number {
    assert(mfn >= 0 && mfn < this.totalFrames, 'frame number within the domain');
    return this.frames + mfn * PAGE_SIZE;
  }

  /** Capsule offset of a vCPU's context. */
  vcpu(id: number): number {
    assert(id >= 0 && id < MAX_VCPUS, 'vCPU number in range');
    return VCPU_BASE + id * VCPU_STRIDE;
  }
}
