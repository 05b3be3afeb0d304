// Guest memory for instructions that are finished in TypeScript: reads and writes with the faults of a guest access.

import { PAGE_SIZE } from '#base/capsule.ts';
import type { Cpu } from '../cpu.ts';
import { EXIT } from '../cpu-state.ts';
import { ACCESS } from '../machine.ts';
import { canonical, type Mmu } from './mmu.ts';
import { ACCESS_INFO } from './record.ts';

/** Thrown inside a slow routine when it faults; the exception fields of the context are set. */
export class GuestFault extends Error {}
const fault = new GuestFault();

/** Bytes of the largest operand that is accessed as one. */
const LARGEST_PART = 16;

export class GuestMemory {
  private readonly mmu: Mmu;
  private readonly u8: Uint8Array;
  private readonly dv: DataView;
  constructor(mmu: Mmu, u8: Uint8Array) {
    this.mmu = mmu;
    this.u8 = u8;
    this.dv = new DataView(u8.buffer);
  }

  /**
   * Copies `length` bytes at a linear address into `into`. Throws GuestFault.
   * @param kind 0, or ACCESS_INFO.stack: which exception an address that is not canonical raises
   */
  read(cpu: Cpu, va: bigint, length: number, into: Uint8Array, kind = 0): void {
    this.eachPage(cpu, va, length, (lo, hi, done, n) => {
      const whole = this.host(cpu, lo, hi, 1 | kind);
      this.mmu.note(lo, hi, n, 0);
      if (!this.mmu.isBounce(cpu, whole)) {
        for (let i = 0; i < n; i++) into[done + i] = this.u8[whole + i] as number;
        return;
      }
      for (let i = 0; i < n; i += 8) { // another machine's memory
        const m = Math.min(8, n - i);
        const host = this.host(cpu, lo + i, hi, m | kind);
        into.set(this.u8.subarray(host, host + m), done + i);
      }
    }, kind);
  }
  /** Writes `length` bytes of `from`. Every page is checked before the first byte changes. Throws GuestFault. */
  write(cpu: Cpu, va: bigint, length: number, from: Uint8Array, kind = 0): void {
    this.probe(cpu, va, length, kind);
    this.eachPage(cpu, va, length, (lo, hi, done, n) => {
      const whole = this.host(cpu, lo, hi, 1 | ACCESS_INFO.write);
      this.mmu.note(lo, hi, n, ACCESS_INFO.write);
      if (!this.mmu.isBounce(cpu, whole)) {
        for (let i = 0; i < n; i++) this.u8[whole + i] = from[done + i] as number;
        return;
      }
      for (let i = 0; i < n; i += 8) { // a page that is written with care
        const m = Math.min(8, n - i);
        const host = this.host(cpu, lo + i, hi, m | ACCESS_INFO.write);
        this.u8.set(from.subarray(done + i, done + i + m), host);
        if (this.mmu.isBounce(cpu, host) && this.mmu.commit(cpu) === EXIT.exception) throw fault;
      }
    }, kind);
  }
  /** Capsule offset of an operand that lies in one plain page, for a copy at once; -1 when it takes a closer look. */
  direct(cpu: Cpu, va: bigint, length: number, write: boolean): number { return this.directAt(cpu, Number(va & 0xffff_ffffn), Number(va >> 32n), length, write); }
  /** The same for an address in halves. */
  directAt(cpu: Cpu, lo: number, hi: number, length: number, write: boolean): number {
    if (cpu.compat || (lo & 4095) > PAGE_SIZE - length || this.mmu.watching) return -1;
    const host = this.mmu.translate(cpu, lo, hi, write ? ACCESS.write : ACCESS.read);
    return host >= 0 && write && !this.mmu.isPlain(host) ? -1 : host;
  }
  /** Throws GuestFault unless all of `length` bytes can be written. */
  probe(cpu: Cpu, va: bigint, length: number, kind = 0): void {
    this.eachPage(cpu, va, length, (lo, hi) => { this.host(cpu, lo, hi, 1 | ACCESS_INFO.write | ACCESS_INFO.probe | kind); }, kind);
  }
  readBig(cpu: Cpu, va: bigint, bytes: number, kind = 0): bigint {
    const host = bytes === 2 || bytes === 4 || bytes === 8 ? this.direct(cpu, va, bytes, false) : -1;
    if (host >= 0) return this.valueAt(host, bytes);
    this.read(cpu, va, bytes, scratch, kind);
    return BigInt.asUintN(bytes * 8, scratchView.getBigUint64(0, true));
  }
  /** What lies at a capsule offset. @param bytes 2, 4 or 8 */
  valueAt(host: number, bytes: number): bigint {
    return bytes === 8 ? this.dv.getBigUint64(host, true) : BigInt(bytes === 4 ? this.dv.getUint32(host, true) : this.dv.getUint16(host, true));
  }
  writeBig(cpu: Cpu, va: bigint, bytes: number, value: bigint, kind = 0): void {
    scratchView.setBigUint64(0, BigInt.asUintN(64, value), true);
    this.write(cpu, va, bytes, scratch, kind);
  }
  private host(cpu: Cpu, lo: number, hi: number, info: number): number {
    const host = this.mmu.access(cpu, lo, hi, info);
    if (host === 0) throw fault;
    return host;
  }
  /** What is accessed as one must be canonical to its end before any page of it is looked at. */
  private requireEnd(cpu: Cpu, last: bigint, kind: number): void {
    const hi = Number(BigInt.asUintN(64, last) >> 32n);
    if (!cpu.compat && !canonical(hi)) this.host(cpu, Number(last & 0xffff_ffffn), hi, 1 | kind);
  }
  private eachPage(cpu: Cpu, va: bigint, length: number, body: (lo: number, hi: number, done: number, n: number) => void, kind: number): void {
    if (length <= LARGEST_PART) this.requireEnd(cpu, va + BigInt(length - 1), kind);
    for (let done = 0; done < length;) {
      const at = BigInt.asUintN(cpu.compat ? 32 : 64, va + BigInt(done));
      const lo = Number(at & 0xffff_ffffn);
      const n = Math.min(length - done, 4096 - (lo & 4095));
      body(lo, Number(at >> 32n), done, n);
      done += n;
    }
  }
}
const scratch = new Uint8Array(16);
const scratchView = new DataView(scratch.buffer);
