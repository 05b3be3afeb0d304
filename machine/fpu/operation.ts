// One x87 operation: the control word that it obeys, the exceptions that it raises, and C1. Arithmetic gets it as
// an argument and reports through it; what becomes of the status word and the registers is for the instruction to
// decide (execution.ts).
//
// Order of exceptions (Intel SDM vol. 1, 8.5): stack fault, unsupported operand, signalling NaN, quiet NaN (none),
// other invalid operation or zero divide, denormal operand, then overflow, underflow and precision. Those up to the
// denormal operand are found before anything is computed: where one is unmasked, the operation stops there.

import { type Float80, type Kind, INDEFINITE, isNaN80, quieten } from './float80.ts';
import { FCW, FSW } from './words.ts';

/** Significand bits by precision control; the reserved value behaves as extended. */
const PRECISION_BITS = [24, 64, 53, 64] as const;

export class Operation {
  fcw: number = FCW.initial;
  /** exception flags raised so far (FSW bits) */
  raised = 0;
  /** what C1 becomes: the result's magnitude was rounded up */
  c1 = false;
  /** an operand came from a denormal single or double, which the 80-bit format holds as a normal number */
  denormalSource = false;

  begin(fcw: number): void {
    this.fcw = fcw;
    this.raised = 0;
    this.c1 = false;
    this.denormalSource = false;
  }

  raise(flags: number): void { this.raised |= flags; }
  masked(flag: number): boolean { return (this.fcw & flag) !== 0; }
  /** ROUNDING */
  get rounding(): number { return this.fcw >>> FCW.roundingShift & 3; }
  /** significand bits by precision control; for add, subtract, multiply, divide and square root only */
  get precision(): number { return PRECISION_BITS[this.fcw >>> FCW.precisionShift & 3] as number; }

  /** An unmasked exception was found before computing: operands stay, nothing is stored, pushed or popped. */
  get stopped(): boolean { return (this.raised & ~this.fcw & (FSW.ie | FSW.de | FSW.ze)) !== 0; }
  /** Likewise for a destination in memory, which an unmasked overflow or underflow leaves alone too. */
  get storeStopped(): boolean { return (this.raised & ~this.fcw & (FSW.ie | FSW.de | FSW.ze | FSW.oe | FSW.ue)) !== 0; }

  /** An invalid operation: its masked result. */
  invalid(): Float80 {
    this.raise(FSW.ie);
    return INDEFINITE;
  }

  /**
   * Raises the denormal-operand exception where an operand is denormal.
   * @returns true when it is unmasked: the caller stops
   */
  denormal(...kinds: Kind[]): boolean {
    if (!this.denormalSource && !kinds.includes('denormal')) return false;
    this.raise(FSW.de);
    return !this.masked(FSW.de);
  }

  /** The result when the operand is unsupported or a NaN; null for any number. */
  nan1(a: Float80, kind: Kind): Float80 | null {
    if (kind === 'unsupported') return this.invalid();
    if (!isNaN80(kind)) return null;
    if (kind === 'signalling') this.raise(FSW.ie);
    return quieten(a);
  }

  /** The result when one of two operands is unsupported or a NaN (table 4-7); null for two numbers. */
  nan2(a: Float80, kindA: Kind, b: Float80, kindB: Kind): Float80 | null {
    if (kindA === 'unsupported' || kindB === 'unsupported') return this.invalid();
    if (!isNaN80(kindA) && !isNaN80(kindB)) return null;
    if (kindA === 'signalling' || kindB === 'signalling') this.raise(FSW.ie);
    if (!isNaN80(kindB)) return quieten(a);
    if (!isNaN80(kindA)) return quieten(b);
    if (kindA !== kindB) return kindA === 'quiet' ? a : b;
    return quieten(greaterNan(a, b));
  }
}

/** Of two NaNs of a kind: the greater significand, then the positive one. */
function greaterNan(a: Float80, b: Float80): Float80 {
  if (a.sig !== b.sig) return a.sig > b.sig ? a : b;
  return a.sign <= b.sign ? a : b;
}

