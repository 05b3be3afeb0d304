import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FLAT_RING3_CS32, iret_context, VGCF_in_syscall, VMASST_TYPE_architectural_iopl } from '#abi/xen.ts';
import { FLAG, REG, SEG } from '#machine/cpu-state.ts';
import { HypercallArgs, NO_RETURN } from './hypercall.ts';
import { do_iret } from './iret.ts';
import { HANDLER, KERNEL_GS, TrapGuest, USER_CS, USER_GS, USER_SS } from './testing/trap-guest.ts';

const handlerOf = (vector: number): bigint => HANDLER + BigInt(vector * 16);
type Frame = Partial<Record<keyof typeof iret_context.offset, bigint>>;

/** Builds an iret_context on the kernel stack and makes the hypercall. */
function iret(g: TrapGuest, frame: Frame, at = g.kernelSp - 0x200n): void {
  const whole: Frame = { rax: 1n, r11: 2n, rcx: 3n, flags: 0n, rip: 0x40_1000n, cs: 0xe033n, rflags: 0x246n, rsp: 0x7ffe_0000n, ss: 0xe02bn, ...frame };
  for (const [field, offset] of Object.entries(iret_context.offset)) g.setWord(at + BigInt(offset), whole[field as keyof Frame] as bigint);
  g.v.cpu.set(REG.rsp, at);
  assert.equal(do_iret(g.v, new HypercallArgs()), NO_RETURN);
}

describe('iret to user mode', () => {
  test('switches tables and GS base, and loads what the frame says', () => {
    const g = new TrapGuest();
    iret(g, {});
    const { cpu } = g.v;
    assert.ok(!cpu.kernelMode);
    assert.equal(cpu.segBase(SEG.gs), USER_GS);
    assert.equal(g.v.state.gs_base_kernel, KERNEL_GS);
    assert.deepEqual([REG.rax, REG.r11, REG.rcx, REG.rsp].map((r) => cpu.get(r)), [1n, 2n, 3n, 0x7ffe_0000n]);
    assert.equal(cpu.rip, 0x40_1000n);
    assert.deepEqual([cpu.selector(SEG.cs), cpu.selector(SEG.ss)], [USER_CS, USER_SS]);
    assert.equal(g.fake.machine.getFlags(cpu), 0x246);
  });
  test('without user tables crashes the domain', () => {
    const g = new TrapGuest();
    g.v.state.guest_table_user = 0;
    iret(g, {});
    assert.match(g.fake.domain.crashText ?? '', /no user page tables/);
  });
});

test('iret with RPL 0 stays in kernel mode, at RPL 3 in truth', () => {
  const g = new TrapGuest();
  iret(g, { cs: 0x0000_00ff_0000_e030n, ss: 0xe028n });
  assert.ok(g.v.cpu.kernelMode);
  assert.equal(g.fake.machine.count('setBase'), 0);
  assert.deepEqual([g.v.cpu.selector(SEG.cs), g.v.cpu.selector(SEG.ss)], [USER_CS, USER_SS]);
});

describe('flags', () => {
  test('IF is the inverse of the event mask and always on in truth; IOPL, VM, VIF and VIP never are', () => {
    for (const masked of [true, false]) {
      const g = new TrapGuest();
      g.v.upcallMask = masked ? 0 : 1;
      iret(g, { rflags: BigInt(FLAG.iopl | FLAG.vm | FLAG.vif | FLAG.vip | FLAG.cf | (masked ? 0 : FLAG.if)) });
      assert.equal(g.v.upcallMask, masked ? 1 : 0);
      assert.equal(g.fake.machine.getFlags(g.v.cpu), FLAG.cf | FLAG.if | 2);
    }
  });
  test('IOPL is taken over with VMASST_TYPE_architectural_iopl', () => {
    for (const on of [true, false]) {
      const g = new TrapGuest();
      g.mm.setVmAssist(VMASST_TYPE_architectural_iopl, on);
      iret(g, { rflags: 0x3202n });
      assert.equal(g.v.state.iopl, on ? 0x3000 : 0);
    }
  });
});

test('iret lets the next NMI come', () => {
  const g = new TrapGuest();
  g.v.state.nmi_masked = 1;
  iret(g, {});
  assert.equal(g.v.state.nmi_masked, 0);
});

describe('VGCF_in_syscall', () => {
  const flags = BigInt(VGCF_in_syscall);
  test('goes back by SYSRET: rcx and r11 are rip and rflags, selectors flat', () => {
    const g = new TrapGuest();
    iret(g, { flags, cs: 0x33n, ss: 0x2bn, rflags: BigInt(FLAG.rf | FLAG.if | FLAG.zf) });
    const { cpu } = g.v;
    assert.equal(cpu.get(REG.rcx), 0x40_1000n);
    assert.equal(cpu.get(REG.r11), BigInt(FLAG.rf | FLAG.if | FLAG.zf));
    assert.deepEqual([cpu.selector(SEG.cs), cpu.selector(SEG.ss)], [USER_CS, USER_SS]);
    assert.equal(g.fake.machine.getFlags(cpu) & FLAG.rf, 0);
  });
  test('to 32-bit code for the flat 32-bit selector', () => {
    const g = new TrapGuest();
    iret(g, { flags, cs: BigInt(FLAT_RING3_CS32) });
    assert.ok(g.compat);
    assert.equal(g.v.cpu.selector(SEG.cs), FLAT_RING3_CS32);
  });
  test('goes back by IRETQ when rip is not canonical, which faults', () => {
    const g = new TrapGuest();
    iret(g, { flags, rip: 0x8000_0000_0000n });
    assert.equal(g.v.cpu.rip, handlerOf(13));
  });
});

describe('a context that cannot be loaded faults where it leads', () => {
  const refused: Record<string, [frame: Frame, errorCode: number]> = {
    'rip not canonical': [{ rip: 0x8000_0000_0000n }, 0],
    'null cs': [{ cs: 3n }, 0],
    'data in cs': [{ cs: 0xe02bn }, 0xe028],
    'null ss': [{ ss: 3n }, 0],
    'code in ss': [{ ss: 0xe033n }, 0xe030],
    'cs beyond the GDT': [{ cs: 0xfff3n }, 0xfff0],
    'cs in an LDT that is not there': [{ cs: 7n }, 4],
    '32-bit rip beyond its segment': [{ cs: BigInt(FLAT_RING3_CS32), rip: 0x1_0000_0000n }, 0],
  };
  for (const [name, [frame, errorCode]] of Object.entries(refused)) {
    test(name, () => {
      const g = new TrapGuest();
      iret(g, frame);
      assert.equal(g.v.cpu.rip, handlerOf(13));
      assert.ok(g.v.cpu.kernelMode);
      const [, , code, rip, cs, , , ss] = g.stackWords(8);
      assert.deepEqual([code, rip, cs, ss], [BigInt(errorCode), frame.rip ?? 0x40_1000n, frame.cs ?? BigInt(USER_CS), frame.ss ?? BigInt(USER_SS)]);
    });
  }
});

test('32-bit code is entered through its descriptor', () => {
  const g = new TrapGuest();
  iret(g, { cs: BigInt(FLAT_RING3_CS32), rip: 0xffff_fff0n });
  assert.ok(g.compat);
  assert.equal(g.v.cpu.rip, 0xffff_fff0n);
});

describe('the frame', () => {
  test('may cross a page', () => {
    const g = new TrapGuest();
    iret(g, {}, g.va(g.stack) - 24n);
    assert.equal(g.v.cpu.rip, 0x40_1000n);
  });
  test('that cannot be read crashes the domain', () => {
    const g = new TrapGuest();
    g.v.cpu.set(REG.rsp, 0x1000n);
    do_iret(g.v, new HypercallArgs());
    assert.match(g.fake.domain.crashText ?? '', /IRET context/);
  });
});
