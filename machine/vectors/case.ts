// A test case (one instruction, sometimes two, and the state it starts from) and an outcome (where and why it
// stopped, and what it changed). Both are plain values; codec.ts gives their bytes.

import { fillImage } from './filler.ts';
import { CODE, FIELD, FIELDS, IMAGE, type Field } from './layout.ts';

/** Bytes of one field (layout.ts), in the order of the image. */
export interface FieldValue {
  readonly field: number;
  readonly bytes: Uint8Array;
}
/** Bytes in the arena at an offset from its start. */
export interface MemoryValue {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface Case {
  /** index into the list of rows that the case belongs to */
  readonly row: number;
  readonly compat: boolean;
  readonly seed: number;
  /** offset of the first instruction byte from CODE; bytes past the end of the code pages are dropped */
  readonly codeOffset: number;
  readonly code: Uint8Array;
  /** status flags that the manual leaves undefined after this case: not compared */
  readonly undefinedFlags: number;
  readonly fields: readonly FieldValue[];
  readonly memory: readonly MemoryValue[];
}

export interface Outcome {
  /** why it stopped: exception vector; 1 after a single step, 3 at the INT3 behind the case; or TIMED_OUT */
  readonly vector: number;
  readonly error: number;
  /** faulting address of a page fault, otherwise 0 */
  readonly cr2: bigint;
  /** fields that differ from the initial state */
  readonly fields: readonly FieldValue[];
  /** bytes of the arena that differ from before; may include a few unchanged ones between changed ones */
  readonly memory: readonly MemoryValue[];
}
/** Vector of an outcome that is of no use: the case did not stop by itself. */
export const TIMED_OUT = 0xfe;

/** Number of a field of the image by its name. */
export function field(name: string): number {
  const id = FIELD[name];
  if (id === undefined) throw new Error(`no field ${name}`);
  return id;
}
/** A field by its number. */
export function fieldAt(id: number): Field {
  const f = FIELDS[id];
  if (f === undefined) throw new Error(`no field ${id}`);
  return f;
}

/** Writes the state that a case starts from into an image of IMAGE.size bytes. */
export function initialImage(c: Case, image: DataView): void {
  fillImage(image, c.seed, c.compat);
  image.setUint32(IMAGE.rip, CODE + c.codeOffset, true);
  applyFields(c.fields, image);
}

/** Writes field values into an image. */
export function applyFields(values: readonly FieldValue[], image: DataView): void {
  for (const { field: id, bytes } of values) {
    const { offset } = fieldAt(id);
    for (let i = 0; i < bytes.length; i++) image.setUint8(offset + i, bytes[i] as number);
  }
}
