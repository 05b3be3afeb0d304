// The flags of frames in scratch, one byte each: why writes to a frame concern somebody (FRAME_FLAG). They are the machine's
// that runs the domain, or of all its machines (siblings.ts). Another domain's thread, which has written to a page that was granted to it, may set `written` where there is
// code, and says so in one word for all: the machine looks at that whenever it begins to execute, and drops the code then.
//
// Whoever decodes sets `code` before it reads the frame, whoever writes looks at `code` after it has written: one of them sees
// what the other did.

import type { Capsule } from '#base/capsule.ts';
import { MmuContexts } from './mmu-contexts.ts';
import { FRAME_FLAG } from './record.ts';

const align4 = (n: number): number => Math.ceil(n / 4) * 4;

export class FrameFlags {
  /** capsule offset of the first */
  readonly at: number;
  private readonly capsule: Capsule;
  /** index in i32 of the word that is 1 when some frame may have `written` */
  private readonly word: number;

  /** Bytes that they need. */
  static size(frames: number): number { return align4(frames) + 4; }

  /** @param scratch where the machine's scratch begins: contexts come first */
  constructor(capsule: Capsule, scratch = capsule.scratch) {
    this.capsule = capsule;
    this.at = scratch + MmuContexts.size;
    this.word = (this.at + align4(capsule.totalFrames)) >>> 2;
  }

  /** The flags after what this thread has written, for who shares them with others. */
  afterWrite(mfn: number): number { return Atomics.or(this.capsule.u8, this.at + mfn, 0); }
  of(mfn: number): number { return this.capsule.u8[this.at + mfn] as number; }
  /** @returns all flags that the frame had before */
  set(mfn: number, flag: number, on: boolean): number {
    const old = this.of(mfn);
    if (on ? (old & flag) === flag : (old & flag) === 0) return old;
    return on ? Atomics.or(this.capsule.u8, this.at + mfn, flag) : Atomics.and(this.capsule.u8, this.at + mfn, ~flag & 0xff);
  }

  // ---- writes by other threads

  /** To be called after another thread than the domain's own wrote to a frame. */
  noteWritten(mfn: number): void {
    const { u8, i32 } = this.capsule;
    if ((this.afterWrite(mfn) & FRAME_FLAG.code) === 0) return; // a load could come before the write
    Atomics.or(u8, this.at + mfn, FRAME_FLAG.written);
    Atomics.store(i32, this.word, 1);
  }
  /** True when frames may have been written since this was true last. */
  takeWritten(): boolean { return this.capsule.i32[this.word] !== 0 && Atomics.exchange(this.capsule.i32, this.word, 0) !== 0; }
}
