// One C structure on its way between guest memory and a hypercall: copied in once, checked and changed in the copy,
// copied out once. Handlers keep theirs at module level; a hypercall runs to its end before the next one begins.

import type { Fields, Struct, View } from '#base/struct.ts';
import { copyFromGuest, copyToGuest } from './guest-access.ts';
import type { Vcpu } from './vcpu.ts';

export class GuestStruct<F extends Fields> {
  readonly size: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** the copy's fields */
  readonly view: View<F>;

  constructor(layout: Struct<F>) {
    this.size = layout.size;
    this.bytes = new Uint8Array(layout.size);
    this.view = layout.on(this.bytes.buffer).at(0);
  }

  /** Copies in from a guest address. False on a fault. */
  read(v: Vcpu, vaLo: number, vaHi: number): boolean { return copyFromGuest(v, vaLo, vaHi, this.bytes, 0, this.size); }
  /** Copies all of it out. False on a fault. */
  write(v: Vcpu, vaLo: number, vaHi: number): boolean { return copyToGuest(v, vaLo, vaHi, this.bytes, 0, this.size); }
}

/** The same for a structure of which only a field or two count: bytes and a view over them. */
export class GuestBytes {
  readonly size: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly fields: DataView<ArrayBuffer>;

  constructor(size: number) {
    this.size = size;
    this.bytes = new Uint8Array(size);
    this.fields = new DataView(this.bytes.buffer);
  }

  /** Copies in from a guest address. False on a fault. */
  read(v: Vcpu, vaLo: number, vaHi: number): boolean { return copyFromGuest(v, vaLo, vaHi, this.bytes, 0, this.size); }
  /** Copies all of it out. False on a fault. */
  write(v: Vcpu, vaLo: number, vaHi: number): boolean { return copyToGuest(v, vaLo, vaHi, this.bytes, 0, this.size); }
  u16(at: number): number { return this.fields.getUint16(at, true); }
  u32(at: number): number { return this.fields.getUint32(at, true); }
}
