// A domain as the toolstack leaves it, without instructions: memory mapped (pv-guest.ts), the hypervisor's state new,
// vCPU 0 up. For tests of hypercalls that take structs.

import { DOMID_SELF } from '#abi/xen.ts';
import type { Fields, Struct, View } from '#base/struct.ts';
import { CPU } from '#machine/cpu-state.ts';
import { DomainRegistry } from '../domain-registry.ts';
import type { Domain } from '../domain.ts';
import { CONTINUE, type Hypercall, HypercallArgs } from '../hypercall.ts';
import { initDomainState, startBootVcpu } from '../init.ts';
import { XEN_FRAME } from '../layout.ts';
import { setBases } from '../mm/domain-mm.ts';
import type { TimeOptions } from '../time.ts';
import type { Vcpu } from '../vcpu.ts';
import { type FakeDomain, fakeDomain } from './fake-machine.ts';
import { PvGuest } from './pv-guest.ts';

const FRAMES = 64;

/** Some fields of a struct. */
export type Values<F extends Fields> = Partial<Omit<View<F>, 'at' | 'base'>>;

export class DomU {
  readonly fake: FakeDomain;
  readonly guest: PvGuest;
  readonly domain: Domain;
  /** vCPU 0; all vCPUs have the same page tables */
  readonly v: Vcpu;
  /** page that structs are put in, then the first one that a test may have */
  private readonly argPage: number;
  readonly free: number;

  /** @param peers the domains that it shall be among */
  constructor(vcpus = 1, time: TimeOptions = { deterministic: true }, domid = 1, peers = new DomainRegistry()) {
    this.fake = fakeDomain(FRAMES, vcpus, XEN_FRAME.m2p + 16, domid);
    peers.add(this.fake.domain);
    this.guest = new PvGuest(FRAMES, this.fake);
    this.domain = this.fake.domain;
    this.v = this.vcpu(0);
    for (const v of this.domain.vcpus) setBases(v, this.guest.mfn(this.guest.l4), 0);
    initDomainState(this.domain, time);
    startBootVcpu(this.domain);
    this.argPage = this.guest.free;
    this.free = this.argPage + 2;
  }

  vcpu(id: number): Vcpu { return this.domain.vcpus[id] as Vcpu; }

  /** Makes a hypercall, and its continuations. */
  callOn(v: Vcpu, handler: Hypercall, ...args: (bigint | number)[]): number {
    const a = new HypercallArgs();
    args.forEach((value, i) => {
      const word = BigInt.asUintN(64, BigInt(value));
      a.set(i, Number(word & 0xffff_ffffn), Number(word >> 32n));
    });
    let result: number;
    do result = handler(v, a); while (result === CONTINUE);
    return result;
  }
  call(handler: Hypercall, ...args: (bigint | number)[]): number { return this.callOn(this.v, handler, ...args); }

  /**
   * Puts a struct into guest memory.
   * @returns its address, and a view of it there for what comes back
   */
  put<F extends Fields>(layout: Struct<F>, values: Values<F>, page = this.argPage): { va: bigint; view: View<F> } {
    const offset = this.fake.capsule.frame(this.guest.mfn(page));
    this.fake.capsule.u8.fill(0, offset, offset + layout.size);
    const view = layout.on(this.fake.capsule.buffer).at(offset);
    for (const [name, value] of Object.entries(values)) (view as Record<string, unknown>)[name] = value;
    return { va: this.guest.va(page), view };
  }

  /** Makes a (cmd, struct) hypercall. */
  op<F extends Fields>(handler: Hypercall, cmd: number, layout: Struct<F>, values: Values<F>, v = this.v): { rc: number; out: View<F> } {
    const { va, view } = this.put(layout, values);
    return { rc: this.callOn(v, handler, cmd, va), out: view };
  }

  /** Lets a vCPU have retired more instructions. */
  retire(v: Vcpu, instructions: number): void {
    const at = (v.cpu.base + CPU.retired) >>> 3;
    this.fake.capsule.f64[at] = (this.fake.capsule.f64[at] as number) + instructions;
  }
}

/** An address that no page table maps. */
export const UNMAPPED = 0x1000n;
export const SELF: number = DOMID_SELF;
