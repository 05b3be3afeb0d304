// What the pure layers need of the machine that they run on. Implemented under hosts/, one implementation a runtime.

import type { WasmMemory } from './webassembly.ts';

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

/**
 * A memory that others can be made of, in whole pages of 4096 bytes: each has it in common with the rest, up to where it writes. Who has
 * made it fills it; what was `put` anywhere is not written to any more. Other threads may have it too.
 */
export interface CommonMemory {
  readonly memory: WasmMemory;
  /** by which the host knows it */
  readonly file: number;
  readonly inode: number;
}
export interface CommonMemories {
  /** One of all zeros; undefined: it cannot be had. */
  create(bytes: number): CommonMemory | undefined;
  /**
   * Puts `bytes` bytes from `from` on in the place of as many of a memory. Nobody may write to those meanwhile.
   * @returns false: it could not; what was there is as it was, or zero where the common memory is another thread's that drops it
   */
  put(common: CommonMemory, from: number, memory: WasmMemory, offset: number, bytes: number): boolean;
}

export interface Host {
  /** monotonic time in nanoseconds, from any origin */
  now(): number;
  /** wall clock in nanoseconds since 1970-01-01 UTC (a double: good to about 256 ns) */
  wallClock(): number;
  /** fills with random bytes */
  random(into: Uint8Array): void;
  log(level: LogLevel, message: string): void;
  /**
   * Gives the machine back what holds these bytes of a memory: each is zero then, or as it was. Absent where that cannot be done; a
   * host leaves out what is not whole pages of its own.
   */
  discard?(memory: WasmMemory, offset: number, bytes: number): void;
  /** Lets the machine hold a memory in pages that are larger than a guest's, though more is taken then than is used. Absent where memory is dear. */
  inHugePages?(memory: WasmMemory): void;
  /** Absent where memories have nothing in common. */
  readonly common?: CommonMemories | undefined;
  /** What `make` gives, which is the same in each run of this program: made now, or kept from an earlier run. */
  kept?(name: string, make: () => Uint8Array): Uint8Array;
}
