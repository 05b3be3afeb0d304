// Bits of the x87 control and status words (Intel SDM vol. 1, 8.1.3 and 8.1.5).

/** Status word. The six exception flags lie where the control word has their masks. */
export const FSW = {
  ie: 0x01, de: 0x02, ze: 0x04, oe: 0x08, ue: 0x10, pe: 0x20,
  /** stack fault: the invalid operation was an overflow (C1 set) or underflow of the register stack */
  sf: 0x40,
  /** some flag is set whose mask is clear */
  es: 0x80,
  c0: 0x100, c1: 0x200, c2: 0x400, top: 0x3800, c3: 0x4000,
  /** busy: a copy of es since the 387 */
  b: 0x8000,
} as const;
export const EXCEPTIONS = 0x3f;
export const CONDITION = FSW.c0 | FSW.c1 | FSW.c2 | FSW.c3;

/** Control word: masks, then precision and rounding control; bit 12 is stored and has no effect. */
export const FCW = { precisionShift: 8, roundingShift: 10, writable: 0x1f3f, ones: 0x40, initial: 0x37f } as const;
export const ROUNDING = { nearest: 0, down: 1, up: 2, zero: 3 } as const;

/** The status word with es and b as its flags and the control word's masks demand. */
export function summarise(fsw: number, fcw: number): number {
  return (fsw & EXCEPTIONS & ~fcw) !== 0 ? fsw | FSW.es | FSW.b : fsw & ~(FSW.es | FSW.b);
}
