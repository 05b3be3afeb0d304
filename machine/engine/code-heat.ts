// Frames whose code is written over as often as it is decoded: code that keeps data on its own page, or changes
// itself. A long block decoded from such a frame is void after a few instructions, so blocks get shorter, down to two
// instructions, for as long as that goes on. Without it each instruction would cost the decoding of a whole block
// (64 times slower; measured 2026-11-22, a hostile guest executing zeros, which are `add %al, (%rax)`).

/** Rewrites in a row after which blocks get shorter by half, and again with as many more. */
const PATIENCE = 4;
/** Blocks decoded elsewhere since the last rewriting that make it a thing of the past. */
const FORGET = 256;

/** One instruction alone is decoded for single-stepping only. */
const LEAST = 2;

interface Heat { rewrites: number; at: number }

export class CodeHeat {
  private readonly frames = new Map<number, Heat>();

  /** @param most instructions of an ordinary block @returns how many to decode from this frame at the most */
  limit(mfn: number, most: number): number {
    const heat = this.frames.get(mfn);
    return heat === undefined ? most : Math.max(LEAST, most >>> Math.floor(heat.rewrites / PATIENCE));
  }

  /** Code decoded from a frame was written over. @param made blocks decoded so far, of all frames */
  rewritten(mfn: number, made: number): void {
    const heat = this.frames.get(mfn);
    if (heat === undefined) this.frames.set(mfn, { rewrites: 1, at: made });
    else {
      heat.rewrites = made - heat.at < FORGET ? Math.min(heat.rewrites + 1, 31 * PATIENCE) : 1;
      heat.at = made;
    }
  }

  clear(): void { this.frames.clear(); }
}
