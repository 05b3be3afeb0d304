import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOSYS, ENXIO } from '#abi/errno.ts';
import { EVTCHNOP, evtchn_bind_ipi, evtchn_bind_virq, evtchn_port } from '#abi/event-channel.ts';
import {
  RUNSTATE, VCPU_SSHOTTMR_future, VCPUOP, vcpu_register_memory_area, vcpu_register_vcpu_info, vcpu_runstate_info, vcpu_set_periodic_timer, vcpu_set_singleshot_timer,
} from '#abi/vcpu.ts';
import {
  cpu_user_regs, SHUTDOWN, vcpu_guest_context, vcpu_info, vcpu_time_info, VGCF_i387_valid, VGCF_in_kernel, VGCF_online, VIRQ,
  VMASST_TYPE_runstate_update_flag,
} from '#abi/xen.ts';
import type { Fields, Struct, View } from '#base/struct.ts';
import { CPU, FLAG, FX, REG, SEG } from '#machine/cpu-state.ts';
import { do_event_channel_op } from './event-channel.ts';
import { PGT_count_mask, PGT_l4_page_table, PGT_seg_desc_page, PGT_type_mask, PGT_writable_page } from './mm/frame-table.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { runDomain } from './sched.ts';
import { DomU, UNMAPPED, type Values } from './testing/domu.ts';
import { RO } from './testing/pv-guest.ts';
import { clockOf } from './time.ts';
import { nextTimer } from './timer.ts';
import { do_vcpu_op } from './vcpu-op.ts';
import { schedOf } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';

/** vcpu_op with a struct on a vCPU. */
function op<F extends Fields>(u: DomU, cmd: number, vcpu: number, layout: Struct<F>, values: Values<F>): number {
  return u.call(do_vcpu_op, cmd, vcpu, u.put(layout, values).va);
}
const bare = (u: DomU, cmd: number, vcpu = 0, arg: bigint | number = 0): number => u.call(do_vcpu_op, cmd, vcpu, arg);

test('a vCPU number must exist, a call be known, an argument readable', () => {
  const u = new DomU(2);
  assert.equal(bare(u, VCPUOP.is_up, 2), -ENOENT);
  assert.equal(bare(u, VCPUOP.is_up, 0xffff_ffff), -ENOENT);
  assert.equal(bare(u, 14), -ENOSYS);
  assert.equal(bare(u, VCPUOP.get_physid), -EINVAL);
  for (const cmd of [0, 4, 5, 6, 8, 10, 13]) assert.equal(bare(u, cmd, 0, UNMAPPED), -EFAULT);
});

test('up and down', () => {
  const u = new DomU(2);
  assert.equal(bare(u, VCPUOP.is_up, 0), 1);
  assert.equal(bare(u, VCPUOP.is_up, 1), 0);
  assert.equal(bare(u, VCPUOP.up, 1), -EINVAL, 'not initialised');
  schedOf(u.vcpu(1)).initialised = 1;
  assert.equal(bare(u, VCPUOP.up, 1), 0);
  assert.equal(bare(u, VCPUOP.is_up, 1), 1);
  assert.ok(u.vcpu(1).runnable);
  assert.equal(bare(u, VCPUOP.down, 0), 0);
  assert.ok(!u.v.runnable);
  assert.ok(!u.domain.isShutDown);
  assert.equal(bare(u, VCPUOP.down, 1), 0);
  assert.equal(u.domain.shutdownReason, SHUTDOWN.poweroff, 'the last one');
});

test('the single-shot timer belongs to the caller and takes absolute times', () => {
  const u = new DomU(2);
  u.op(do_event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 });
  u.retire(u.v, 1000);
  const set = (timeout_abs_ns: bigint, flags = 0, vcpu = 0): number => op(u, VCPUOP.set_singleshot_timer, vcpu, vcpu_set_singleshot_timer, { timeout_abs_ns, flags });
  assert.equal(set(5000n, 0, 1), -EINVAL);
  assert.equal(set(5000n), 0);
  assert.equal(nextTimer(u.domain), 5000);
  assert.equal(bare(u, VCPUOP.stop_singleshot_timer, 1), -EINVAL);
  assert.equal(bare(u, VCPUOP.stop_singleshot_timer), 0);
  assert.equal(nextTimer(u.domain), Infinity);
  assert.equal(set(999n, VCPU_SSHOTTMR_future), 0);
  assert.ok(u.v.upcallPending, 'a time that has passed fires at once');
});

test('a singleshot time before system time 0 has passed', () => {
  const u = new DomU();
  u.op(do_event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 });
  assert.equal(op(u, VCPUOP.set_singleshot_timer, 0, vcpu_set_singleshot_timer, { timeout_abs_ns: 1n << 63n }), 0);
  assert.ok(u.v.upcallPending);
});

test('periodic timers have a shortest and a longest period', () => {
  const u = new DomU();
  const set = (period_ns: bigint): number => op(u, VCPUOP.set_periodic_timer, 0, vcpu_set_periodic_timer, { period_ns });
  assert.equal(set(999_999n), -EINVAL);
  assert.equal(set(1n << 63n), -EINVAL);
  assert.equal(set(1_000_000n), 0);
  assert.equal(schedOf(u.v).periodicPeriod, 1e6);
  assert.equal(bare(u, VCPUOP.stop_periodic_timer), 0);
  assert.equal(schedOf(u.v).periodicPeriod, 0);
});

test('vcpu_info moves once, into a writable frame, with everything pending', () => {
  const u = new DomU(2);
  const mfn = u.guest.mfn(u.free);
  const register = (vcpu: number, m: number | bigint, offset: number): number => op(u, VCPUOP.register_vcpu_info, vcpu, vcpu_register_vcpu_info, { mfn: BigInt(m), offset });
  u.v.upcallMask = 1;
  assert.equal(register(0, mfn, 4096 - 63), -ENXIO);
  assert.equal(register(0, mfn, 4), -ENXIO, 'not aligned');
  assert.equal(register(0, 1n << 40n, 0), -EINVAL);
  assert.equal(register(0, 0, 0), -EINVAL, 'a frame of Xen\'s');
  assert.equal(register(0, u.guest.mfn(u.guest.l4), 0), -EINVAL, 'a page table');
  const ipi = u.op(do_event_channel_op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 0 }).out.port;
  assert.equal(register(0, mfn, 128), 0);
  assert.equal(u.v.info, u.fake.capsule.frame(mfn) + 128);
  assert.equal(u.v.upcallMask, 1, 'the contents came along');
  assert.ok(u.v.upcallPending);
  assert.equal(u.fake.capsule.u64[(u.v.info + 8) >>> 3], 0xffff_ffff_ffff_ffffn);
  assert.equal(vcpu_time_info.on(u.fake.capsule.buffer).at(u.v.info + vcpu_info.offset.time).tsc_to_system_mul, 0x8000_0000);
  assert.equal(register(0, mfn, 0), -EINVAL, 'only once');
  u.fake.capsule.u8.fill(0, u.v.info, u.v.info + 16);
  u.op(do_event_channel_op, EVTCHNOP.send, evtchn_port, { port: ipi });
  assert.ok(u.v.upcallPending, 'events go to the new place');
  assert.equal(u.domain.mm.frames.type(mfn) & PGT_type_mask, PGT_writable_page);
  const before = u.domain.mm.frames.type(mfn) & PGT_count_mask;
  const { table, slot } = { table: u.guest.mfn(u.guest.l1), slot: u.free };
  assert.equal(setL1Entry(u.domain.mm, table, slot, 0, 0, false), 0);
  assert.equal(u.domain.mm.frames.type(mfn) & PGT_count_mask, before - 1);
  assert.ok(before > 1, 'the registration keeps the frame writable');
});

test('vcpu_info of another vCPU may be moved only while that is down', () => {
  const u = new DomU(2);
  const register = (): number => op(u, VCPUOP.register_vcpu_info, 1, vcpu_register_vcpu_info, { mfn: BigInt(u.guest.mfn(u.free)), offset: 0 });
  u.vcpu(1).unpause(VPF.down);
  assert.equal(register(), -EINVAL);
  u.vcpu(1).pause(VPF.down);
  assert.equal(register(), 0);
});

test('runstate: asked for, and in a registered area after each switch', () => {
  const u = new DomU();
  const area = u.put(vcpu_runstate_info, {}, u.free);
  const read = u.put(vcpu_runstate_info, {}, u.free + 1);
  assert.equal(op(u, VCPUOP.register_runstate_memory_area, 0, vcpu_register_memory_area, { addr: area.va }), 0);
  runDomain(u.domain, 1e6, (v, budget) => {
    assert.equal(area.view.state, RUNSTATE.running);
    u.retire(v, budget);
    assert.equal(bare(u, VCPUOP.get_runstate_info, 0, read.va), 0);
    assert.equal(read.view.time_running, 1_000_000n);
    v.pause(VPF.blocked);
  });
  assert.equal(area.view.state, RUNSTATE.blocked);
  assert.equal(area.view.time_running, 1_000_000n);
  assert.equal(area.view.state_entry_time, 1_000_000n);
});

test('with the update flag asked for, the finished copy does not carry it', () => {
  const u = new DomU();
  u.domain.mm.setVmAssist(VMASST_TYPE_runstate_update_flag, true);
  const area = u.put(vcpu_runstate_info, {}, u.free);
  assert.equal(op(u, VCPUOP.register_runstate_memory_area, 0, vcpu_register_memory_area, { addr: area.va }), 0);
  runDomain(u.domain, 1000, (v, budget) => u.retire(v, budget));
  assert.equal(area.view.state_entry_time, 1000n);
  assert.equal(area.view.state, RUNSTATE.runnable);
});

test('a runstate area must be the guest\'s to write, each time', () => {
  const u = new DomU();
  const register = (addr: bigint): number => op(u, VCPUOP.register_runstate_memory_area, 0, vcpu_register_memory_area, { addr });
  assert.equal(register(0xffff_8000_0000_0000n), -EFAULT, 'Xen\'s window');
  const table = u.guest.va(u.guest.l1);
  const before = u.guest.peek(u.guest.l1, 0);
  assert.equal(register(table), 0);
  runDomain(u.domain, 1000, (v, budget) => u.retire(v, budget));
  assert.equal(u.guest.peek(u.guest.l1, 0), before, 'a page table is not written');
  assert.equal(register(0n), 0);
  assert.equal(schedOf(u.v).runstateArea, 0n);
});

test('the copy of the time record is written as soon as its page is writable', () => {
  const u = new DomU();
  const area = u.put(vcpu_time_info, {}, u.free);
  const slot = u.free;
  const rw = u.guest.peek(u.guest.l1, slot);
  u.guest.poke(u.guest.l1, slot, u.guest.pte(u.free, RO));
  assert.equal(op(u, VCPUOP.register_vcpu_time_memory_area, 0, vcpu_register_memory_area, { addr: area.va }), 0);
  assert.equal(area.view.version, 0);
  u.guest.poke(u.guest.l1, slot, rw);
  runDomain(u.domain, 1000, (v, budget) => u.retire(v, budget));
  assert.deepEqual([area.view.version, area.view.tsc_to_system_mul, area.view.flags], [2, 0x8000_0000, 1]);
  assert.equal(op(u, VCPUOP.register_vcpu_time_memory_area, 0, vcpu_register_memory_area, { addr: 0n }), 0);
});

test('send_nmi wakes its vCPU', () => {
  const u = new DomU(2);
  u.vcpu(1).unpause(VPF.down);
  u.vcpu(1).pause(VPF.blocked);
  assert.equal(bare(u, VCPUOP.send_nmi, 1, 5), -EINVAL);
  assert.equal(bare(u, VCPUOP.send_nmi, 1), 0);
  assert.equal(u.vcpu(1).state.nmi_pending, 1);
  assert.ok(u.vcpu(1).runnable);
});

/** A context as Linux makes it, in two pages of the guest. */
function context(u: DomU, change: (c: View<typeof vcpu_guest_context extends Struct<infer F> ? F : never>, regs: View<typeof cpu_user_regs extends Struct<infer F> ? F : never>, set: (offset: number, value: bigint) => void) => void = () => {}): bigint {
  const page = u.free;
  const gdtPage = u.free + 3;
  const { va, view } = u.put(vcpu_guest_context, {}, page);
  const { buffer, dv } = u.fake.capsule;
  const at = vcpu_guest_context.offset;
  const set = (offset: number, value: bigint): void => dv.setBigUint64(view.base + offset, value, true);
  const regs = cpu_user_regs.on(buffer).at(view.base + at.user_regs);
  // the GDT page: a 64-bit code and a data segment for the kernel; unmapped, so that it can be a descriptor page
  u.guest.poke(gdtPage, 2, 0x00af_9b00_0000_ffffn | (3n << 45n));
  u.guest.poke(gdtPage, 3, 0x00cf_9300_0000_ffffn | (3n << 45n));
  setL1Entry(u.domain.mm, u.guest.mfn(u.guest.l1), gdtPage, 0, 0, false);
  view.flags = BigInt(VGCF_in_kernel);
  regs.rip = 0xffff_ffff_8000_1234n;
  regs.rsp = 0xffff_ffff_8000_3ff8n;
  regs.rsi = 77n;
  regs.rflags = 0x1000n;
  regs.cs = 0x10;
  regs.ss = 0x18;
  regs.ds = regs.es = 0x1b;
  set(at.gdt_frames, BigInt(u.guest.mfn(gdtPage)));
  view.gdt_ents = 16n;
  view.kernel_ss = 0x18n;
  view.kernel_sp = 0xffff_ffff_8000_4000n;
  set(at.ctrlreg + 24, BigInt(u.guest.mfn(u.guest.l4)) << 12n);
  view.event_callback_eip = 0xffff_ffff_8000_2000n;
  view.failsafe_callback_eip = 0xffff_ffff_8000_3000n;
  view.gs_base_kernel = 0xffff_8880_0000_0000n;
  set(at.trap_ctxt + 14 * 16, 0x0010_040en); // vector 14, flags 4, cs 0x10
  set(at.trap_ctxt + 14 * 16 + 8, 0xffff_ffff_8000_5000n);
  change(view, regs, set);
  return va;
}

test('initialise sets up registers, tables and callbacks of a vCPU that stays down', () => {
  const u = new DomU(2);
  const v: Vcpu = u.vcpu(1);
  assert.equal(bare(u, VCPUOP.initialise, 1, context(u)), 0);
  assert.equal(v.cpu.rip, 0xffff_ffff_8000_1234n);
  assert.equal(v.cpu.get(REG.rsp), 0xffff_ffff_8000_3ff8n);
  assert.equal(v.cpu.get(REG.rsi), 77n);
  assert.deepEqual([SEG.cs, SEG.ss, SEG.ds].map((s) => v.cpu.selector(s)), [0x13, 0x1b, 0x1b]);
  assert.equal(v.cpu.segBase(SEG.gs), 0xffff_8880_0000_0000n);
  assert.equal(v.state.iopl, 0x1000);
  assert.equal(u.fake.machine.getFlags(v.cpu), FLAG.if | 2);
  assert.ok(v.kernelMode && !v.cpu.compat);
  assert.equal(v.state.guest_table, u.guest.mfn(u.guest.l4));
  assert.equal(v.state.event_callback_eip, 0xffff_ffff_8000_2000n);
  assert.equal(v.state.kernel_ss, 0x1bn);
  const trap = u.fake.capsule.dv.getBigUint64(v.trapTable + 14 * 16 + 8, true);
  assert.equal(trap, 0xffff_ffff_8000_5000n);
  assert.equal(u.fake.capsule.u16[(v.trapTable + 14 * 16 + 2) >>> 1], 0x13);
  assert.equal(u.fake.capsule.u16[(v.cpu.base + CPU.fxState + FX.fcw) >>> 1], 0x37f);
  assert.equal(u.domain.mm.frames.type(u.guest.mfn(u.free + 3)) & PGT_type_mask, PGT_seg_desc_page);
  assert.ok(v.pauseFlags & VPF.down);
  assert.equal(bare(u, VCPUOP.initialise, 1, context(u)), -EEXIST);
  assert.equal(bare(u, VCPUOP.up, 1), 0);
});

test('initialise with VGCF_online brings it up at once', () => {
  const u = new DomU(2);
  assert.equal(bare(u, VCPUOP.initialise, 1, context(u, (c) => { c.flags |= BigInt(VGCF_online); })), 0);
  assert.ok(u.vcpu(1).runnable);
});

test('initialise takes the FPU state that it is given, without reserved bits of MXCSR', () => {
  const u = new DomU(2);
  const v = u.vcpu(1);
  const change = (c: { flags: bigint }, _regs: unknown, set: (offset: number, value: bigint) => void): void => {
    c.flags |= BigInt(VGCF_i387_valid);
    set(vcpu_guest_context.offset.fpu_ctxt, 0x27fn);
    set(vcpu_guest_context.offset.fpu_ctxt + 24, 0xdead_1fc0n);
    set(vcpu_guest_context.offset.ctrlreg, 8n);
  };
  assert.equal(bare(u, VCPUOP.initialise, 1, context(u, change)), 0);
  const fx = v.cpu.base + CPU.fxState;
  assert.equal(u.fake.capsule.u16[fx >>> 1], 0x27f);
  assert.equal(u.fake.capsule.u32[(fx + FX.mxcsr) >>> 2], 0x1fc0);
  assert.equal(v.state.cr0_ts, 1);
});

test('initialise tells of data selectors that cannot be loaded, and of a bad context, when the vCPU begins', () => {
  const u = new DomU(2);
  assert.equal(bare(u, VCPUOP.initialise, 1, context(u, (_c, regs) => { regs.fs = 0x7fb; regs.rsp = u.guest.va(u.free + 6); })), 0);
  assert.equal(u.vcpu(1).cpu.rip, 0xffff_ffff_8000_3000n);
  assert.equal(u.vcpu(1).cpu.selector(SEG.fs), 0);
  const w = new DomU(2);
  assert.equal(bare(w, VCPUOP.initialise, 1, context(w, (_c, regs, set) => { regs.ss = 0x7fb; regs.rsp = w.guest.va(w.free + 6); set(vcpu_guest_context.offset.trap_ctxt + 13 * 16 + 8, 0xffff_ffff_8000_6000n); })), 0);
  assert.equal(w.vcpu(1).cpu.rip, 0xffff_ffff_8000_6000n);
});

test('initialise in user mode needs user page tables, and uses them', () => {
  const u = new DomU(2);
  const at = vcpu_guest_context.offset;
  assert.equal(bare(u, VCPUOP.initialise, 1, context(u, (c) => { c.flags = 0n; })), -EINVAL);
  const l4 = BigInt(u.guest.mfn(u.guest.l4)) << 12n;
  assert.equal(bare(u, VCPUOP.initialise, 1, context(u, (c, _regs, set) => { c.flags = 0n; c.gs_base_user = 0x1000n; set(at.ctrlreg + 8, l4); })), 0);
  assert.ok(!u.vcpu(1).kernelMode);
  assert.equal(u.vcpu(1).cpu.segBase(SEG.gs), 0x1000n);
});

test('initialise refuses what cannot be, and then takes no reference', () => {
  const at = vcpu_guest_context.offset;
  const bad = 0x8000_0000_0000n;
  const cases: [string, Parameters<typeof context>[1]][] = [
    ['rip', (_c, regs) => { regs.rip = bad; }],
    ['kernel stack', (c) => { c.kernel_sp = bad; }],
    ['callback', (c) => { c.syscall_callback_eip = bad; }],
    ['gs base', (c) => { c.gs_base_user = bad; }],
    ['trap', (_c, _regs, set) => { set(at.trap_ctxt + 255 * 16 + 8, bad); }],
    ['GDT too long', (c) => { c.gdt_ents = 8193n; }],
    ['GDT frame', (_c, _regs, set) => { set(at.gdt_frames, 1n << 50n); }],
    ['GDT frame in use as a table', (_c, _regs, set) => { set(at.gdt_frames, BigInt(u0.guest.mfn(u0.guest.l1))); }],
    ['LDT too long', (c) => { c.ldt_ents = 8193n; }],
    ['LDT base', (c) => { c.ldt_ents = 1n; c.ldt_base = 0x123n; }],
    ['base table', (_c, _regs, set) => { set(at.ctrlreg + 24, 0n); }],
    ['base table of the wrong type', (_c, _regs, set) => { set(at.ctrlreg + 24, BigInt(u0.guest.mfn(u0.guest.l1)) << 12n); }],
    ['user base table', (_c, _regs, set) => { set(at.ctrlreg + 8, 0xf_ffff_f000n); }],
  ];
  const u0 = new DomU(2);
  for (const [what, change] of cases) {
    const u = new DomU(2);
    const l4 = u.guest.mfn(u.guest.l4);
    const va = context(u, change);
    const references = (): number[] => [l4, u.guest.mfn(u.free + 3)].flatMap((mfn) => [u.domain.mm.frames.type(mfn) & PGT_count_mask, u.domain.mm.frames.count(mfn)]);
    const before = references();
    assert.equal(bare(u, VCPUOP.initialise, 1, va), -EINVAL, what);
    assert.deepEqual(references(), before, what);
    assert.equal(u.domain.mm.frames.type(l4) & PGT_type_mask, PGT_l4_page_table);
    assert.equal(bare(u, VCPUOP.up, 1), -EINVAL, what);
  }
});

test('system time is what the runstate of a vCPU counts from', () => {
  const u = new DomU(2);
  const read = u.put(vcpu_runstate_info, {}, u.free);
  u.retire(u.v, 500);
  assert.equal(clockOf(u.domain).now(), 500);
  assert.equal(bare(u, VCPUOP.get_runstate_info, 1, read.va), 0);
  assert.deepEqual([read.view.state, read.view.time_offline], [RUNSTATE.offline, 500n]);
});
