// Instructions that run together with the one under test: engines fuse, reorder flag computations and drop flags that
// nobody reads, all of which needs a second instruction to show.

import { bytesOf } from './draft.ts';
import { ARENA, ARENA_SIZE, FLAG, STATUS_FLAGS } from './layout.ts';
import type { Random } from './random.ts';

export interface Neighbour {
  readonly code: Uint8Array;
  readonly reads: number;
  readonly writes: number;
}

const { cf, pf, zf, sf, of } = FLAG;
/** Flags that a condition code reads, by its upper three bits. */
const CONDITION_READS = [of, cf, zf, cf | zf, sf, pf, sf | of, zf | sf | of];

const neighbour = (bytes: readonly number[], reads: number, writes: number): Neighbour => ({ code: Uint8Array.from(bytes), reads, writes });

/** A register for a neighbour to write: not rsp. */
const register = (r: Random): number => r.pick([0, 1, 2, 3, 5, 6, 7]);

/** Something that makes the flags of the instruction before it visible, or must leave them alone. */
export function follower(r: Random, compat: boolean): Neighbour {
  const cc = r.below(16);
  const reads = CONDITION_READS[cc >> 1] as number;
  const modrm = 0xc0 | register(r) << 3 | register(r);
  const hole = [...bytesOf(BigInt(ARENA + ARENA_SIZE + r.below(0x1000)), 4)];
  const absolute = compat ? [0x05] : [0x04, 0x25];
  switch (r.below(12)) {
    case 0: case 1: case 2: return neighbour([0x70 | cc, r.between(4, 60)], reads, 0); // Jcc
    case 3: return neighbour([0x0f, 0x90 | cc, 0xc0 | r.below(4)], reads, 0); // SETcc
    case 4: return neighbour([0x0f, 0x40 | cc, modrm], reads, 0); // CMOVcc
    case 5: return neighbour([0x11, modrm], cf, STATUS_FLAGS); // ADC
    case 6: return neighbour([0x19, modrm], cf, STATUS_FLAGS); // SBB
    case 7: return neighbour([0xfe, 0xc0 | r.below(2) << 3 | r.below(4)], 0, STATUS_FLAGS & ~cf); // INC, DEC
    case 8: return neighbour([0xd1, 0xd0 | r.below(2) << 3 | register(r)], cf, cf | of); // RCL, RCR by 1
    case 9: return neighbour([0x89, ...absolute, ...hole], 0, 0); // a store that faults
    case 10: return neighbour([0x01, ...absolute, ...hole], 0, 0); // an addition that faults before it writes flags
    default: return neighbour([0xf5], cf, cf); // CMC
  }
}

/** Something that sets all flags before the instruction under test. */
export function leader(r: Random): Neighbour {
  const registers = 0xc0 | register(r) << 3 | register(r);
  switch (r.below(8)) {
    case 0: case 1: return neighbour([0x39, registers], 0, STATUS_FLAGS); // CMP
    case 2: return neighbour([0x38, 0xc0 | r.below(4) << 3 | r.below(4)], 0, STATUS_FLAGS); // CMP, bytes
    case 3: return neighbour([0x66, 0x29, registers], 0, STATUS_FLAGS); // SUB, 16 bits
    case 4: return neighbour([0x01, registers], 0, STATUS_FLAGS); // ADD
    case 5: return neighbour([0x83, 0xf8 | register(r), r.below(256)], 0, STATUS_FLAGS); // CMP with an immediate
    case 6: return neighbour([0xf7, 0xd8 | register(r)], 0, STATUS_FLAGS); // NEG
    default: return neighbour([0xff, 0xc0 | r.below(2) << 3 | register(r)], 0, STATUS_FLAGS & ~cf); // INC, DEC
  }
}
