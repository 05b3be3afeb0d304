// The bytes of cases and outcomes, for the native runner's pipe and for recorded vectors alike. Little-endian.
//
//   case     u16 row, u8 mode (bit 0: compatibility mode), u32 seed, u16 code offset, u8 length, code,
//            u16 undefined flags, u8 n, n × (u8 field, value), u8 m, m × (u16 arena offset, u16 length, bytes)
//   outcome  u8 vector, u32 error code, u64 cr2 if the vector is 14, u8 n, n × (u8 field, value),
//            u8 m, m × (u16 arena offset, u16 length, bytes)

import { fieldAt, type Case, type FieldValue, type MemoryValue, type Outcome } from './case.ts';

const PF = 14;

/** Appends values to a growing buffer. */
export class Writer {
  private bytes = new Uint8Array(1 << 16);
  private view = new DataView(this.bytes.buffer);
  private used = 0;

  get length(): number { return this.used; }
  u8(v: number): void { const at = this.room(1); this.view.setUint8(at, v); }
  u16(v: number): void { const at = this.room(2); this.view.setUint16(at, v, true); }
  u32(v: number): void { const at = this.room(4); this.view.setUint32(at, v, true); }
  u64(v: bigint): void { const at = this.room(8); this.view.setBigUint64(at, v, true); }
  raw(v: Uint8Array): void {
    const at = this.room(v.length);
    this.bytes.set(v, at);
  }
  /** What has been written; valid until the next write. */
  take(): Uint8Array { return this.bytes.subarray(0, this.used); }

  private room(n: number): number {
    const at = this.used;
    if (at + n > this.bytes.length) this.grow(at + n);
    this.used = at + n;
    return at;
  }
  private grow(least: number): void {
    const bigger = new Uint8Array(Math.max(least, this.bytes.length * 2));
    bigger.set(this.bytes);
    this.bytes = bigger;
    this.view = new DataView(bigger.buffer);
  }
}

/** Takes values from a buffer in order. Throws RangeError past its end. */
export class Reader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get done(): boolean { return this.at >= this.bytes.length; }
  u8(): number { return this.view.getUint8(this.skip(1)); }
  u16(): number { return this.view.getUint16(this.skip(2), true); }
  u32(): number { return this.view.getUint32(this.skip(4), true); }
  u64(): bigint { return this.view.getBigUint64(this.skip(8), true); }
  /** A view of the next n bytes, not a copy. */
  raw(n: number): Uint8Array {
    const at = this.skip(n);
    if (this.at > this.bytes.length) throw new RangeError('vector data ends early');
    return this.bytes.subarray(at, at + n);
  }
  private skip(n: number): number {
    const at = this.at;
    this.at += n;
    return at;
  }
}

export function writeCase(w: Writer, c: Case): void {
  w.u16(c.row);
  w.u8(c.compat ? 1 : 0);
  w.u32(c.seed);
  w.u16(c.codeOffset);
  w.u8(c.code.length);
  w.raw(c.code);
  w.u16(c.undefinedFlags);
  writeFields(w, c.fields);
  writeMemory(w, c.memory);
}

export function readCase(r: Reader): Case {
  const row = r.u16();
  const compat = (r.u8() & 1) !== 0;
  const seed = r.u32();
  const codeOffset = r.u16();
  const code = r.raw(r.u8());
  const undefinedFlags = r.u16();
  return { row, compat, seed, codeOffset, code, undefinedFlags, fields: readFields(r), memory: readMemory(r) };
}

export function writeOutcome(w: Writer, o: Outcome): void {
  w.u8(o.vector);
  w.u32(o.error);
  if (o.vector === PF) w.u64(o.cr2);
  writeFields(w, o.fields);
  writeMemory(w, o.memory);
}

export function readOutcome(r: Reader): Outcome {
  const vector = r.u8();
  const error = r.u32();
  const cr2 = vector === PF ? r.u64() : 0n;
  return { vector, error, cr2, fields: readFields(r), memory: readMemory(r) };
}

function writeFields(w: Writer, fields: readonly FieldValue[]): void {
  w.u8(fields.length);
  for (const f of fields) {
    w.u8(f.field);
    w.raw(f.bytes);
  }
}
function readFields(r: Reader): FieldValue[] {
  const fields: FieldValue[] = [];
  for (let n = r.u8(); n > 0; n--) {
    const id = r.u8();
    fields.push({ field: id, bytes: r.raw(fieldAt(id).size) });
  }
  return fields;
}
function writeMemory(w: Writer, memory: readonly MemoryValue[]): void {
  w.u8(memory.length);
  for (const m of memory) {
    w.u16(m.offset);
    w.u16(m.bytes.length);
    w.raw(m.bytes);
  }
}
function readMemory(r: Reader): MemoryValue[] {
  const memory: MemoryValue[] = [];
  for (let n = r.u8(); n > 0; n--) {
    const offset = r.u16();
    memory.push({ offset, bytes: r.raw(r.u16()) });
  }
  return memory;
}
