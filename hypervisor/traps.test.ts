import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { arch_vcpu_info, TI_IF, vcpu_info, VGCF_syscall_disables_events, VMASST_TYPE_architectural_iopl } from '#abi/xen.ts';
import { CPU, FLAG, NO_ERROR_CODE, REG, SEG } from '#machine/cpu-state.ts';
import { EVENT, FAILSAFE, HANDLER, KERNEL_GS, SYSCALL, TrapGuest, USER_CS, USER_GS, USER_SS } from './testing/trap-guest.ts';
import { TRAP } from './trap-names.ts';
import { deliverEvents, failsafe, injectException, softInterrupt, sysenter, userSyscall } from './traps.ts';

const handlerOf = (vector: number): bigint => HANDLER + BigInt(vector * 16);
const setPending = (g: TrapGuest): void => { g.fake.capsule.u8[g.v.info + vcpu_info.offset.evtchn_upcall_pending] = 1; };

describe('an exception in guest kernel mode', () => {
  test('leaves rcx, r11, rip, cs, rflags, rsp, ss below the stack pointer', () => {
    const g = new TrapGuest();
    const { cpu } = g.v;
    const rsp = cpu.get(REG.rsp);
    g.fake.machine.setFlags(cpu, FLAG.zf | FLAG.if);
    injectException(g.v, TRAP.invalid_op, NO_ERROR_CODE);
    assert.equal(cpu.get(REG.rsp), (rsp & ~15n) - 56n);
    assert.deepEqual(g.stackWords(7), [0x1111n, 0x2222n, 0xffff_ffff_8100_1234n, 0xe030n, BigInt(FLAG.zf | FLAG.if | 2), rsp, BigInt(USER_SS)]);
    assert.equal(cpu.rip, handlerOf(6));
  });
  test('aligns the frame to 16 bytes before it is pushed', () => {
    const g = new TrapGuest();
    g.v.cpu.set(REG.rsp, g.kernelSp - 0x107n);
    injectException(g.v, TRAP.invalid_op, NO_ERROR_CODE);
    assert.equal(g.v.cpu.get(REG.rsp), g.kernelSp - 0x110n - 56n);
  });
  test('has an error code above r11 for the vectors that have one, and for no other', () => {
    for (let vector = 0; vector < 20; vector++) {
      const g = new TrapGuest();
      injectException(g.v, vector, 0x18);
      const withCode = [8, 10, 11, 12, 13, 14, 17].includes(vector);
      assert.equal(g.stackWords(3)[2], withCode ? 0x18n : 0xffff_ffff_8100_1234n, `vector ${vector}`);
    }
  });
  test('keeps page tables and GS base', () => {
    const g = new TrapGuest();
    injectException(g.v, TRAP.debug, NO_ERROR_CODE);
    assert.equal(g.fake.machine.count('setBase'), 0);
    assert.equal(g.v.cpu.segBase(SEG.gs), KERNEL_GS);
  });
  test('enters with rcx and r11 as SYSRET leaves them, and flat selectors', () => {
    const g = new TrapGuest();
    const { cpu } = g.v;
    cpu.setSelector(SEG.cs, 0x33);
    cpu.setSelector(SEG.ss, 0x2b);
    injectException(g.v, TRAP.debug, NO_ERROR_CODE);
    assert.equal(cpu.get(REG.rcx), handlerOf(1));
    assert.equal(cpu.get(REG.r11), BigInt(FLAG.if | 2));
    assert.deepEqual([cpu.selector(SEG.cs), cpu.selector(SEG.ss)], [USER_CS, USER_SS]);
  });
  test('clears TF, NT, RF, VM and AC; the frame has them', () => {
    const g = new TrapGuest();
    const all = FLAG.tf | FLAG.nt | FLAG.rf | FLAG.ac | FLAG.df | FLAG.if;
    g.fake.machine.setFlags(g.v.cpu, all);
    injectException(g.v, TRAP.int3, NO_ERROR_CODE);
    assert.equal(g.fake.machine.getFlags(g.v.cpu), FLAG.df | FLAG.if | 2);
    assert.equal(g.stackWords(5)[4], BigInt(all | 2));
  });
});

describe('an exception in guest user mode', () => {
  test('goes to the kernel stack, with RPL 3 in cs, in kernel mode with its tables and GS base', () => {
    const g = new TrapGuest();
    g.enterUser();
    const { cpu } = g.v;
    assert.equal(cpu.segBase(SEG.gs), USER_GS);
    injectException(g.v, TRAP.divide_error, NO_ERROR_CODE);
    assert.ok(cpu.kernelMode);
    assert.equal(cpu.segBase(SEG.gs), KERNEL_GS);
    assert.equal(g.v.state.gs_base_user, USER_GS);
    assert.equal(cpu.get(REG.rsp), g.kernelSp - 56n);
    assert.deepEqual(g.stackWords(7), [0x1111n, 0x2222n, 0x40_0000n, 0xe033n, BigInt(FLAG.if | 2), 0x7fff_0008n, BigInt(USER_SS)]);
    assert.deepEqual(g.fake.machine.calls.filter((c) => c.call === 'setBase'), [{ call: 'setBase', cpu: 0, mfn: g.mfn(g.l4), kernel: true }]);
  });
});

describe('the event mask', () => {
  test('is saved in bits 39:32 of cs and, inverted, in IF; it is set when the trap says so', () => {
    const g = new TrapGuest();
    g.handle(TRAP.invalid_op, HANDLER, TI_IF);
    injectException(g.v, TRAP.invalid_op, NO_ERROR_CODE);
    assert.equal(g.v.upcallMask, 1);
    assert.equal(g.stackWords(4)[3], 0xe030n);
    injectException(g.v, TRAP.debug, NO_ERROR_CODE);
    assert.equal(g.stackWords(4)[3], 0x1_0000_e030n);
    assert.equal((g.stackWords(5)[4] as bigint) & BigInt(FLAG.if), 0n);
  });
  test('stays when the trap does not say so', () => {
    const g = new TrapGuest();
    injectException(g.v, TRAP.debug, NO_ERROR_CODE);
    assert.equal(g.v.upcallMask, 0);
  });
  test('the virtual IOPL shows only with VMASST_TYPE_architectural_iopl', () => {
    for (const on of [false, true]) {
      const g = new TrapGuest();
      g.mm.setVmAssist(VMASST_TYPE_architectural_iopl, on);
      g.v.state.iopl = 0x1000;
      injectException(g.v, TRAP.debug, NO_ERROR_CODE);
      assert.equal((g.stackWords(5)[4] as bigint) & 0x3000n, on ? 0x1000n : 0n);
      assert.equal(g.fake.machine.getFlags(g.v.cpu) & FLAG.iopl, 0);
    }
  });
});

describe('a page fault', () => {
  const fault = (g: TrapGuest, code: number): void => {
    g.v.cpu.setField64(CPU.cr2, 0xdead_beef_000n);
    injectException(g.v, TRAP.page_fault, code);
  };
  test('reports its address in vcpu_info and CR2', () => {
    const g = new TrapGuest();
    fault(g, 2);
    assert.equal(g.fake.capsule.dv.getBigUint64(g.v.info + vcpu_info.offset.arch + arch_vcpu_info.offset.cr2, true), 0xdead_beef_000n);
    assert.equal(g.v.state.cr2, 0xdead_beef_000n);
  });
  test('has the user bit by the guest’s mode, whatever the processor said', () => {
    const kernel = new TrapGuest();
    fault(kernel, 7);
    assert.equal(kernel.stackWords(3)[2], 3n);
    const user = new TrapGuest();
    user.enterUser();
    fault(user, 3);
    assert.equal(user.stackWords(3)[2], 7n);
  });
});

describe('a frame that cannot be delivered crashes the domain', () => {
  const crashes = (prepare: (g: TrapGuest) => void, message: RegExp): void => {
    const g = new TrapGuest();
    prepare(g);
    injectException(g.v, TRAP.invalid_op, NO_ERROR_CODE);
    assert.equal(g.fake.domain.shutdownReason, 3);
    assert.match(g.fake.domain.crashText ?? '', message);
  };
  test('no handler', () => crashes((g) => g.handle(6, 0n, 0), /unhandled trap invalid_op/));
  test('stack not mapped', () => crashes((g) => g.v.cpu.set(REG.rsp, 0x1000n), /bounce frame/));
  test('stack read-only', () => crashes((g) => g.v.cpu.set(REG.rsp, g.va(g.l4) + 0x800n), /bounce frame/));
  test('stack in Xen’s window', () => crashes((g) => g.v.cpu.set(REG.rsp, 0xffff_8000_0000_1000n), /bounce frame/));
  test('stack not canonical', () => crashes((g) => g.v.cpu.set(REG.rsp, 0x8000_0000_0000n + 0x1000n), /bounce frame/));
  test('stack at zero', () => crashes((g) => g.v.cpu.set(REG.rsp, 0n), /bounce frame/));
});

test('a frame may cross a page boundary', () => {
  const g = new TrapGuest();
  g.v.cpu.set(REG.rsp, g.va(g.stack) + 16n);
  injectException(g.v, TRAP.gp_fault, 0x20);
  assert.equal(g.v.cpu.get(REG.rsp), g.va(g.stack) + 16n - 64n);
  assert.deepEqual(g.stackWords(4), [0x1111n, 0x2222n, 0x20n, 0xffff_ffff_8100_1234n]);
  assert.deepEqual(g.stackWords(8).slice(6), [g.va(g.stack) + 16n, BigInt(USER_SS)]);
});

describe('INT n', () => {
  const N = 0x90;
  const take = (dpl: number, user: boolean, n = N): TrapGuest => {
    const g = new TrapGuest();
    g.handle(n, EVENT, dpl);
    if (user) g.enterUser();
    softInterrupt(g.v, n, 2);
    return g;
  };
  test('needs level 1 in kernel mode and level 3 in user mode', () => {
    for (const [dpl, user, allowed] of [[0, false, false], [1, false, true], [3, false, true], [0, true, false], [1, true, false], [2, true, false], [3, true, true]] as const) {
      const g = take(dpl, user);
      assert.equal(g.v.cpu.rip, allowed ? EVENT : handlerOf(13), `level ${dpl}, ${user ? 'user' : 'kernel'}`);
    }
  });
  test('continues behind the instruction; refused, faults on it with the vector as error code', () => {
    assert.equal(take(3, true).stackWords(3)[2], 0x40_0002n);
    assert.deepEqual(take(0, true).stackWords(4).slice(2), [BigInt(N * 8 + 2), 0x40_0000n]);
  });
  test('int3 and into need no level', () => {
    for (const n of [3, 4]) assert.equal(take(0, true, n).v.cpu.rip, EVENT);
  });
  test('0x80 needs a handler and no level', () => {
    for (const user of [false, true]) assert.equal(take(0, user, 0x80).v.cpu.rip, EVENT);
    const g = new TrapGuest();
    softInterrupt(g.v, 0x80, 2);
    assert.equal(g.v.cpu.rip, handlerOf(13));
  });
  test('pushes no error code, whatever the vector', () => assert.equal(take(3, false, 14).stackWords(3)[2], 0xffff_ffff_8100_1236n));
});

describe('SYSCALL in user mode', () => {
  test('goes to the callback with the flat selectors in its frame, and DF clear', () => {
    const g = new TrapGuest();
    g.enterUser();
    g.v.cpu.setSelector(SEG.cs, 0x33);
    g.fake.machine.setFlags(g.v.cpu, FLAG.df | FLAG.if);
    userSyscall(g.v);
    assert.equal(g.v.cpu.rip, SYSCALL);
    assert.equal(g.stackWords(4)[3], 0xe033n);
    assert.equal(g.stackWords(5)[4], BigInt(FLAG.df | FLAG.if | 2));
    assert.equal(g.fake.machine.getFlags(g.v.cpu), FLAG.if | 2);
    assert.equal(g.v.upcallMask, 0);
  });
  test('masks events when it was registered so', () => {
    const g = new TrapGuest();
    g.v.state.vgc_flags = VGCF_syscall_disables_events;
    g.enterUser();
    userSyscall(g.v);
    assert.equal(g.v.upcallMask, 1);
  });
  test('is #UD on the instruction without a callback', () => {
    const g = new TrapGuest();
    g.v.state.syscall_callback_eip = 0n;
    g.enterUser(0x40_0002n);
    userSyscall(g.v);
    assert.equal(g.v.cpu.rip, handlerOf(6));
    assert.equal(g.stackWords(3)[2], 0x40_0000n);
  });
});

describe('SYSENTER', () => {
  test('saves no rip and no rsp', () => {
    const g = new TrapGuest();
    g.v.state.sysenter_callback_eip = SYSCALL;
    g.v.state.sysenter_disables_events = 1;
    g.enterUser();
    sysenter(g.v);
    assert.equal(g.v.cpu.rip, SYSCALL);
    assert.equal(g.v.upcallMask, 1);
    assert.deepEqual(g.stackWords(7), [0x1111n, 0x2222n, 0n, 3n, BigInt(FLAG.if | 2), 0n, BigInt(USER_SS)]);
  });
  test('is #GP(0) without a callback', () => {
    const g = new TrapGuest();
    g.enterUser();
    sysenter(g.v);
    assert.equal(g.v.cpu.rip, handlerOf(13));
    assert.equal(g.stackWords(3)[2], 0n);
  });
});

test('the failsafe callback gets the data selectors', () => {
  const g = new TrapGuest();
  const { cpu } = g.v;
  cpu.setSelector(SEG.ds, 1);
  cpu.setSelector(SEG.es, 2);
  cpu.setSelector(SEG.fs, 3);
  cpu.setSelector(SEG.gs, 4);
  failsafe(g.v);
  assert.equal(cpu.rip, FAILSAFE);
  assert.deepEqual(g.stackWords(7), [0x1111n, 0x2222n, 1n, 2n, 3n, 4n, 0xffff_ffff_8100_1234n]);
});

describe('events', () => {
  test('are delivered when pending and not masked, and masked then', () => {
    const g = new TrapGuest();
    g.enterUser();
    deliverEvents(g.v);
    assert.equal(g.v.cpu.rip, 0x40_0000n);
    setPending(g);
    deliverEvents(g.v);
    assert.equal(g.v.cpu.rip, EVENT);
    assert.equal(g.v.upcallMask, 1);
    const rsp = g.v.cpu.get(REG.rsp);
    deliverEvents(g.v);
    assert.equal(g.v.cpu.get(REG.rsp), rsp);
  });
  test('are not delivered when masked', () => {
    const g = new TrapGuest();
    g.v.upcallMask = 1;
    setPending(g);
    deliverEvents(g.v);
    assert.equal(g.v.cpu.rip, 0xffff_ffff_8100_1234n);
  });
  test('crash a guest that has no callback', () => {
    const g = new TrapGuest();
    g.v.state.event_callback_eip = 0n;
    setPending(g);
    deliverEvents(g.v);
    assert.ok(g.fake.domain.isShutDown);
  });
});

describe('an NMI', () => {
  test('is delivered once, and not into its own handler', () => {
    const g = new TrapGuest();
    g.handle(TRAP.nmi, HANDLER, TI_IF);
    g.v.state.nmi_pending = 1;
    deliverEvents(g.v);
    assert.equal(g.v.cpu.rip, HANDLER);
    assert.equal(g.v.state.nmi_pending, 0);
    g.v.state.nmi_pending = 1;
    const rsp = g.v.cpu.get(REG.rsp);
    deliverEvents(g.v);
    assert.equal(g.v.cpu.get(REG.rsp), rsp);
    g.v.unmaskNmi();
    deliverEvents(g.v);
    assert.equal(g.v.state.nmi_pending, 0);
  });
  test('is lost without a handler', () => {
    const g = new TrapGuest();
    g.handle(TRAP.nmi, 0n, 0);
    g.v.state.nmi_pending = 1;
    deliverEvents(g.v);
    assert.equal(g.v.state.nmi_pending, 0);
    assert.ok(!g.fake.domain.isShutDown);
  });
});
