import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpu_user_regs, vcpu_guest_context, VGCF_failsafe_disables_events, VGCF_i387_valid, VGCF_in_kernel, VGCF_online, VGCF_syscall_disables_events, VMASST_TYPE_pae_extended_cr3 } from '#abi/xen.ts';
import { CPU, FLAG, FX, REG, SEG } from '#machine/cpu-state.ts';
import { setDebugreg } from './debug-registers.ts';
import { setGdt, setLdt } from './mm/gdt.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { FAILSAFE, KERNEL_GS, TrapGuest, USER_GS } from './testing/trap-guest.ts';
import { vcpuContext } from './vcpu-context.ts';
import { VPF } from './vcpu.ts';

const at = vcpu_guest_context.offset;
function contextOf(g: TrapGuest): { c: ReturnType<typeof vcpu_guest_context.on>; regs: ReturnType<typeof cpu_user_regs.on>; word(offset: number): bigint; bytes: Uint8Array } {
  const bytes = vcpuContext(g.v);
  const dv = new DataView(bytes.buffer);
  return { c: vcpu_guest_context.on(bytes.buffer).at(0), regs: cpu_user_regs.on(bytes.buffer).at(at.user_regs), word: (offset) => dv.getBigUint64(offset, true), bytes };
}

test('every register is in its place', () => {
  const g = new TrapGuest();
  for (const r of Object.values(REG)) g.v.cpu.set(r, 0x1234_5678_0000_0000n + BigInt(r));
  g.v.cpu.rip = 0xffff_ffff_8100_5678n;
  g.fake.machine.setFlags(g.v.cpu, FLAG.if | FLAG.zf | FLAG.df);
  g.v.state.iopl = 0x1000;
  g.v.upcallMask = 1;
  for (const [name, seg] of Object.entries(SEG)) g.v.cpu.setSelector(seg, 0x100 + name.charCodeAt(0));
  const { regs } = contextOf(g);
  for (const [name, r] of Object.entries(REG) as [keyof typeof REG, number][]) assert.equal(regs[name], 0x1234_5678_0000_0000n + BigInt(r), name);
  for (const name of Object.keys(SEG) as (keyof typeof SEG)[]) assert.equal(regs[name], 0x100 + name.charCodeAt(0), name);
  assert.equal(regs.rip, 0xffff_ffff_8100_5678n);
  assert.equal(regs.rflags, BigInt(2 | FLAG.if | FLAG.zf | FLAG.df | 0x1000));
  assert.equal(regs.saved_upcall_mask, 1);
});

test('flags tell of the mode, of the callbacks and whether it is up', () => {
  const g = new TrapGuest();
  g.v.state.vgc_flags = VGCF_failsafe_disables_events | VGCF_syscall_disables_events;
  assert.equal(contextOf(g).c.flags, BigInt(VGCF_i387_valid | VGCF_in_kernel | VGCF_online | VGCF_failsafe_disables_events | VGCF_syscall_disables_events));
  g.enterUser();
  g.v.state.vgc_flags = 0;
  assert.equal(contextOf(g).c.flags, BigInt(VGCF_i387_valid | VGCF_online));
  g.v.pause(VPF.down);
  assert.equal(contextOf(g).c.flags, BigInt(VGCF_i387_valid));
});

test('GS bases are those of the modes, whichever is current', () => {
  const g = new TrapGuest();
  g.v.cpu.setSegBase(SEG.fs, 0x7000_1000n);
  const bases = (): bigint[] => { const { c } = contextOf(g); return [c.fs_base, c.gs_base_kernel, c.gs_base_user]; };
  assert.deepEqual(bases(), [0x7000_1000n, KERNEL_GS, USER_GS]);
  g.enterUser();
  assert.deepEqual(bases(), [0x7000_1000n, KERNEL_GS, USER_GS]);
});

test('control and debug registers', () => {
  const g = new TrapGuest();
  g.v.state.guest_table = g.mfn(g.l4);
  g.v.state.guest_table_user = g.mfn(g.l4) + 1;
  g.v.state.cr2 = 0xdead_b000n;
  g.v.setTaskSwitched(true);
  setDebugreg(g.v, 1, 0x1234n);
  setDebugreg(g.v, 7, 0x404n);
  const { word } = contextOf(g);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((n) => word(at.ctrlreg + n * 8)), [0x8005_003bn, BigInt(g.mfn(g.l4) + 1) << 12n, 0xdead_b000n, BigInt(g.mfn(g.l4)) << 12n, 0x620n, 0n]);
  assert.equal(word(at.debugreg + 8), 0x1234n);
  assert.equal(word(at.debugreg + 7 * 8), 0x404n);
});

test('descriptor tables, traps, callbacks, FPU and assists', () => {
  const g = new TrapGuest();
  const page = g.free + 20;
  setL1Entry(g.mm, g.mfn(g.l1), page, 0, 0, false);
  assert.equal(setGdt(g.v, [g.mfn(page)], 16), 0);
  setLdt(g.v, 0x5000, 0xffff_ffff, 3);
  g.mm.setVmAssist(VMASST_TYPE_pae_extended_cr3, true);
  g.v.state.kernel_ss = 0x2bn;
  const { u8, u16 } = g.fake.capsule;
  u16[(g.v.cpu.base + CPU.fxState + FX.fcw) >>> 1] = 0x27f;
  u8[g.v.cpu.base + CPU.fxState + 511] = 0x77;
  const { c, word, bytes } = contextOf(g);
  assert.deepEqual([c.gdt_ents, word(at.gdt_frames), word(at.gdt_frames + 8)], [16n, BigInt(g.mfn(page)), 0n]);
  assert.deepEqual([c.ldt_base, c.ldt_ents], [0xffff_ffff_0000_5000n, 3n]);
  assert.deepEqual([c.kernel_ss, c.kernel_sp], [0x2bn, g.kernelSp]);
  assert.equal(c.failsafe_callback_eip, FAILSAFE);
  assert.equal(c.vm_assist, 1n << BigInt(VMASST_TYPE_pae_extended_cr3));
  assert.deepEqual(bytes.subarray(at.trap_ctxt, at.trap_ctxt + 4096), Uint8Array.from(u8.subarray(g.v.trapTable, g.v.trapTable + 4096)));
  assert.deepEqual([bytes[0], bytes[1], bytes[511]], [0x7f, 2, 0x77]);
});
