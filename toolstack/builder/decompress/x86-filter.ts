// The x86 branch filter of 7-Zip and xz ("BCJ"), decoding direction: the packer turned relative operands of E8 and E9
// (CALL, JMP) into absolute ones, because equal targets then give equal bytes.

/** by the last three operand bytes that looked like an opcode (bit mask): whether a conversion may follow here */
const MASK_TO_ALLOWED = [true, true, true, false, true, false, false, false] as const;
const MASK_TO_BIT = [0, 1, 2, 2, 3, 3, 3, 3] as const;

const plausible = (b: number): boolean => b === 0 || b === 0xff;

/**
 * Undoes the filter in place.
 * @param start the filter's start offset: address of the first byte
 */
export function unfilterX86(bytes: Uint8Array, start: number): void {
  let previousMask = 0, previous = -1;
  const end = bytes.length - 4;
  for (let i = 0; i < end; i++) {
    if (((bytes[i] as number) & 0xfe) !== 0xe8) continue;
    const gap = i - previous;
    if (gap > 3) {
      previousMask = 0;
    } else {
      previousMask = (previousMask << (gap - 1)) & 7;
      if (previousMask !== 0) {
        const b = bytes[i + 4 - (MASK_TO_BIT[previousMask] as number)] as number;
        if (!MASK_TO_ALLOWED[previousMask] || plausible(b)) {
          previous = i;
          previousMask = previousMask << 1 | 1;
          continue;
        }
      }
    }
    previous = i;
    if (!plausible(bytes[i + 4] as number)) { previousMask = previousMask << 1 | 1; continue; }
    let source = (bytes[i + 1] as number) | (bytes[i + 2] as number) << 8 | (bytes[i + 3] as number) << 16 | (bytes[i + 4] as number) << 24;
    let target: number;
    for (;;) {
      target = (source - (start + i + 5)) | 0;
      if (previousMask === 0) break;
      const shift = (MASK_TO_BIT[previousMask] as number) * 8;
      if (!plausible(target >>> (24 - shift) & 255)) break;
      source = target ^ ((1 << (32 - shift)) - 1);
    }
    bytes[i + 1] = target;
    bytes[i + 2] = target >>> 8;
    bytes[i + 3] = target >>> 16;
    bytes[i + 4] = target & 0x0100_0000 ? 0xff : 0;
    i += 4;
    previousMask = 0;
  }
}
