// The back end of a PV console (public/io/console.h; docs/misc/console.txt), as xenconsoled is in Domain-0: a page with
// a ring of 2048 bytes from the guest and one of 1024 bytes to it. Indices run freely, each ring's difference tells how
// full it is. The page is the guest's to scribble on: every index is read once and checked; a difference larger than
// the ring counts as nothing to do, until the guest makes sense again.
//
// Flow control: while paused, output stays in the ring and the guest waits when it is full. Input that the guest has no
// room for waits here, and `onInputTaken` tells its source when there is none left.

import { xencons_interface as layout, XENCONS_IN_SIZE, XENCONS_OUT_SIZE } from '#abi/io/console.ts';
import type { Capsule } from '#base/capsule.ts';

export class ConsoleBackend {
  /** called when the guest has taken all input that was fed */
  onInputTaken: () => void = () => {};
  private readonly capsule: Capsule;
  private readonly base: number;
  private readonly output: (bytes: Uint8Array) => void;
  private readonly notify: () => void;
  private readonly input: Uint8Array[] = [];
  private paused = false;

  /**
   * @param ring capsule offset of the shared page
   * @param output takes what the guest writes: a copy, not empty
   * @param notify signals the guest's event channel
   */
  constructor(capsule: Capsule, ring: number, output: (bytes: Uint8Array) => void, notify: () => void) {
    this.capsule = capsule;
    this.base = ring;
    this.output = output;
    this.notify = notify;
  }

  /** To be called when the guest has signalled its event channel. */
  onEvent(): void {
    const hadInput = this.input.length > 0;
    const moved = this.push();
    if (this.drain() || moved) this.notify();
    if (hadInput && this.input.length === 0) this.onInputTaken();
  }

  /** Gives the guest input, now or as soon as it has room. */
  feed(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.input.push(bytes.slice());
    if (this.push()) this.notify();
  }

  /** Bytes of input that the guest has not had room for. */
  get pendingInput(): number { return this.input.reduce((n, b) => n + b.length, 0); }

  /** Nothing is on its way, in either direction. */
  get isIdle(): boolean {
    const { in_cons, in_prod, out_cons, out_prod } = layout.offset;
    return this.input.length === 0 && this.load(in_cons) === this.load(in_prod) && this.load(out_cons) === this.load(out_prod);
  }

  /** Takes no output until `resume`. */
  pause(): void { this.paused = true; }

  resume(): void {
    this.paused = false;
    this.onEvent();
  }

  private load(offset: number): number { return Atomics.load(this.capsule.u32, (this.base + offset) >>> 2); }
  private store(offset: number, value: number): void { Atomics.store(this.capsule.u32, (this.base + offset) >>> 2, value >>> 0); }

  /** Hands what is in the output ring to the sink. True when the guest has room again. */
  private drain(): boolean {
    if (this.paused) return false;
    const cons = this.load(layout.offset.out_cons);
    const size = (this.load(layout.offset.out_prod) - cons) >>> 0;
    if (size === 0 || size > XENCONS_OUT_SIZE) return false;
    const bytes = new Uint8Array(size);
    const start = cons % XENCONS_OUT_SIZE, first = Math.min(size, XENCONS_OUT_SIZE - start);
    const ring = this.base + layout.offset.out;
    bytes.set(this.capsule.u8.subarray(ring + start, ring + start + first));
    bytes.set(this.capsule.u8.subarray(ring, ring + size - first), first);
    this.store(layout.offset.out_cons, cons + size);
    this.output(bytes);
    return true;
  }

  /** Moves waiting input into the ring as far as there is room. True when anything moved. */
  private push(): boolean {
    let moved = false;
    for (let bytes; (bytes = this.input[0]);) {
      const prod = this.load(layout.offset.in_prod);
      const used = (prod - this.load(layout.offset.in_cons)) >>> 0;
      const n = used > XENCONS_IN_SIZE ? 0 : Math.min(bytes.length, XENCONS_IN_SIZE - used, XENCONS_IN_SIZE - (prod % XENCONS_IN_SIZE));
      if (n === 0) break;
      this.capsule.u8.set(bytes.subarray(0, n), this.base + layout.offset.in + (prod % XENCONS_IN_SIZE));
      this.store(layout.offset.in_prod, prod + n);
      if (n === bytes.length) this.input.shift();
      else this.input[0] = bytes.subarray(n);
      moved = true;
    }
    return moved;
  }
}
