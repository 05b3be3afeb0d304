// What happened lately, as records of fixed size in a ring of shared memory: the newest overwrite the oldest. Any number of
// threads may write; who reads has switched the writers off first. Times are whole nanoseconds of the host's clock, which all
// writers share.
//
// A record is begun when the thing begins, so records lie in the order of beginnings, and finished later; in between it may have
// been overwritten, which its sequence number tells.

import { assert } from '#base/assert.ts';
import { struct } from '#base/struct.ts';

/** What a record tells of, and the values that it has. */
export const TRACE_KIND = {
  run: 1, // a vCPU had a physical CPU; code: its RUNSTATE afterwards; values: instructions, TLB misses
  hypercall: 2, // code: its number; values: the first four arguments, rip, result; `outcome`
  upcall: 3, // an event is delivered; values: rip
  send: 4, // the vCPU sends an event; values: port
  wake: 5, // an event, or a time-out, ends a vCPU's blocking
  exception: 6, // one is given to the guest; code: vector; values: rip, error code or all ones, CR2
  exit: 7, // the machine returned; code: EXIT; values: exit information, rip, kernel mode, instructions
  compile: 8, // guest code is being compiled on the vCPU's thread
} as const;
/** How a hypercall ended: with a result; it set the registers itself; a part was done, and it will be called again. */
export const OUTCOME = { answered: 0, noReturn: 1, continued: 2 } as const;

const VALUES = 6;
const trace_record = struct('trace_record', 80, {
  begin: 'f64', end: 'f64', // the same for what takes no time; end is 0 while it lasts
  sequence: 'u32', // 1 + the number of the record
  code: 'u32',
  kind: 'u8', vcpu: 'u8', domid: 'u16', pcpu: 'u16', outcome: 'u16',
  values: ['u64', VALUES],
});
const RECORD = trace_record.offset;
const HEADER = 64;
/** index in 32-bit words of the number of records written, modulo 2^32 */
const WRITTEN = 0;

export class TraceRing {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  private readonly u32: Uint32Array<SharedArrayBuffer>;
  private readonly u16: Uint16Array<SharedArrayBuffer>;
  private readonly u8: Uint8Array<SharedArrayBuffer>;
  private readonly f64: Float64Array<SharedArrayBuffer>;

  /** @param records how many it holds, a power of two; or the buffer of a ring that is there already */
  constructor(records: number | SharedArrayBuffer) {
    this.buffer = typeof records === 'number' ? new SharedArrayBuffer(HEADER + records * trace_record.size) : records;
    this.capacity = (this.buffer.byteLength - HEADER) / trace_record.size;
    assert((this.capacity & (this.capacity - 1)) === 0, 'the ring holds a power of two records');
    this.u32 = new Uint32Array(this.buffer);
    this.u16 = new Uint16Array(this.buffer);
    this.u8 = new Uint8Array(this.buffer);
    this.f64 = new Float64Array(this.buffer);
  }

  /** Begins a record. @returns its sequence number, for the calls below */
  begin(kind: number, domid: number, vcpu: number, pcpu: number, code: number, time: number): number {
    const sequence = Atomics.add(this.u32, WRITTEN, 1) + 1 >>> 0;
    const at = this.at(sequence);
    this.f64[at >>> 3] = time;
    this.f64[(at + RECORD.end) >>> 3] = 0;
    this.u32[(at + RECORD.sequence) >>> 2] = sequence;
    this.u8[at + RECORD.kind] = kind;
    this.u8[at + RECORD.vcpu] = vcpu;
    this.u32[(at + RECORD.code) >>> 2] = code;
    this.u16[(at + RECORD.domid) >>> 1] = domid;
    this.u16[(at + RECORD.pcpu) >>> 1] = pcpu;
    this.u16[(at + RECORD.outcome) >>> 1] = 0;
    this.u32.fill(0, (at + RECORD.values) >>> 2, (at + trace_record.size) >>> 2);
    return sequence;
  }
  /** Sets a value, in halves, of a record that has been begun. */
  set(sequence: number, index: number, lo: number, hi: number): void {
    const at = this.at(sequence);
    if (this.u32[(at + RECORD.sequence) >>> 2] !== sequence) return;
    this.u32[(at + RECORD.values + index * 8) >>> 2] = lo;
    this.u32[(at + RECORD.values + index * 8 + 4) >>> 2] = hi;
  }
  /** Finishes a record. @param code in place of the one that it was begun with */
  end(sequence: number, time: number, outcome = 0, code?: number): void {
    const at = this.at(sequence);
    if (this.u32[(at + RECORD.sequence) >>> 2] !== sequence) return;
    this.f64[(at + RECORD.end) >>> 3] = time;
    this.u16[(at + RECORD.outcome) >>> 1] = outcome;
    if (code !== undefined) this.u32[(at + RECORD.code) >>> 2] = code;
  }

  /** Records that were overwritten, modulo 2^32. */
  get lost(): number { return Math.max(0, Atomics.load(this.u32, WRITTEN) - this.capacity); }
  /** The record of a sequence number; undefined when it is overwritten. */
  get(sequence: number): TraceRecord | undefined {
    const at = this.at(sequence);
    return sequence !== 0 && this.u32[(at + RECORD.sequence) >>> 2] === sequence ? new TraceRecord(this.buffer, at) : undefined;
  }
  /** What is there, in the order of beginnings. */
  *records(): Generator<TraceRecord, void, undefined> {
    const written = Atomics.load(this.u32, WRITTEN);
    for (let n = this.capacity - 1; n >= 0; n--) {
      const record = this.get(written - n >>> 0);
      if (record) yield record;
    }
  }
  private at(sequence: number): number { return HEADER + (sequence - 1 & this.capacity - 1) * trace_record.size; }
}

/** A record as it is read. */
export class TraceRecord {
  private readonly view: DataView;
  constructor(buffer: SharedArrayBuffer, at: number) { this.view = new DataView(buffer, at, trace_record.size); }
  get begin(): number { return this.view.getFloat64(RECORD.begin, true); }
  /** 0: it lasts still */
  get end(): number { return this.view.getFloat64(RECORD.end, true); }
  get kind(): number { return this.view.getUint8(RECORD.kind); }
  get vcpu(): number { return this.view.getUint8(RECORD.vcpu); }
  get code(): number { return this.view.getUint32(RECORD.code, true); }
  get domid(): number { return this.view.getUint16(RECORD.domid, true); }
  get pcpu(): number { return this.view.getUint16(RECORD.pcpu, true); }
  get outcome(): number { return this.view.getUint16(RECORD.outcome, true); }
  value(index: number): bigint { return this.view.getBigUint64(RECORD.values + index * 8, true); }
}
