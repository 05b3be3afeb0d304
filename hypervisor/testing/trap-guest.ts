// A PV guest with traps and callbacks set up, for tests of how the hypervisor enters and leaves the guest kernel.

import { trap_info } from '#abi/xen.ts';
import { CPU, MODE, REG, SEG } from '#machine/cpu-state.ts';
import type { FakeDomain } from './fake-machine.ts';
import { PvGuest } from './pv-guest.ts';

/** Addresses of handlers; nothing is there, the fake machine executes nothing. */
export const HANDLER = 0xffff_ffff_8100_0000n, EVENT = 0xffff_ffff_8200_0000n, SYSCALL = 0xffff_ffff_8200_1000n, FAILSAFE = 0xffff_ffff_8200_2000n;
export const USER_CS = 0xe033, USER_SS = 0xe02b;
export const KERNEL_GS = 0xffff_8880_0000_0000n, USER_GS = 0x7000_0000_0000n;

export class TrapGuest extends PvGuest {
  /** pfn of the kernel stack's page; the page below is mapped too */
  readonly stack: number;
  /** what kernel_sp says: 16 bytes below the end of the stack page */
  readonly kernelSp: bigint;

  /** @param fake another domain than one over a fake machine, if the test needs one: 256 frames */
  constructor(fake?: FakeDomain) {
    super(256, fake);
    this.stack = this.free + 5;
    this.kernelSp = this.va(this.stack) + 4080n;
    const { v } = this;
    v.state.kernel_sp = this.kernelSp;
    v.state.event_callback_eip = EVENT;
    v.state.syscall_callback_eip = SYSCALL;
    v.state.failsafe_callback_eip = FAILSAFE;
    v.state.guest_table_user = this.mfn(this.l4);
    v.upcallMask = 0;
    for (let vector = 0; vector < 32; vector++) this.handle(vector, HANDLER + BigInt(vector * 16), 0);
    v.cpu.setSegBase(SEG.gs, KERNEL_GS);
    v.state.gs_base_user = USER_GS;
    this.place(0xffff_ffff_8100_1234n, this.kernelSp - 0x108n);
  }

  /** Enters a handler into the trap table. */
  handle(vector: number, address: bigint, flags: number): void {
    const { dv } = this.fake.capsule;
    const entry = this.v.trapTable + vector * trap_info.size;
    dv.setUint8(entry + trap_info.offset.vector, vector);
    dv.setUint8(entry + trap_info.offset.flags, flags);
    dv.setBigUint64(entry + trap_info.offset.address, address, true);
  }

  /** Where the guest is. */
  place(rip: bigint, rsp: bigint): void {
    const { cpu } = this.v;
    cpu.rip = rip;
    cpu.set(REG.rsp, rsp);
    cpu.set(REG.rcx, 0x1111n);
    cpu.set(REG.r11, 0x2222n);
    cpu.setSelector(SEG.cs, USER_CS);
    cpu.setSelector(SEG.ss, USER_SS);
  }

  /** Puts the guest into user mode. */
  enterUser(rip = 0x40_0000n, rsp = 0x7fff_0008n): void {
    this.v.toggleMode();
    this.place(rip, rsp);
    this.fake.machine.calls.length = 0;
  }

  /** Words of the guest stack from rsp upwards. */
  stackWords(count: number): bigint[] {
    const from = this.v.cpu.get(REG.rsp);
    return Array.from({ length: count }, (_, i) => this.word(from + BigInt(i * 8)));
  }
  /** One word of mapped guest memory. */
  word(va: bigint): bigint {
    const offset = va - this.va(0);
    return this.fake.capsule.dv.getBigUint64(this.fake.capsule.frame(this.mfn(0)) + Number(offset), true);
  }
  setWord(va: bigint, value: bigint): void {
    this.fake.capsule.dv.setBigUint64(this.fake.capsule.frame(this.mfn(0)) + Number(va - this.va(0)), value, true);
  }

  get compat(): boolean { return (this.v.cpu.field32(CPU.mode) & MODE.compat32) !== 0; }
}
