import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SCHEDOP } from '#abi/sched.ts';
import { HYPERVISOR, vcpu_info } from '#abi/xen.ts';
import { CPU, EXIT, MODE, NO_ERROR_CODE, PRIV, REG } from '#machine/cpu-state.ts';
import { machineHooks } from './hooks.ts';
import { runVcpu } from './run.ts';
import { EVENT, HANDLER, SYSCALL, TrapGuest } from './testing/trap-guest.ts';
import { VPF } from './vcpu.ts';

/** Lets the fake machine make these exits, one after the other, then use up the budget. */
function exits(g: TrapGuest, ...steps: readonly (() => number)[]): { runs: number } {
  const count = { runs: 0 };
  g.fake.machine.onRun = (_cpu, budget) => {
    const step = steps[count.runs++];
    if (step) return step();
    count.runs--;
    retire(g, budget);
    return EXIT.budget;
  };
  return count;
}
const retire = (g: TrapGuest, n: number): void => { g.fake.capsule.f64[(g.v.cpu.base + CPU.retired) >>> 3] = g.fake.machine.retired(g.v.cpu) + n; };

describe('exits', () => {
  test('SYSCALL is a hypercall from kernel mode and a system call from user mode', () => {
    const g = new TrapGuest();
    exits(g, () => { g.v.cpu.set(REG.rax, BigInt(HYPERVISOR.fpu_taskswitch)); g.v.cpu.set(REG.rdi, 1n); return EXIT.syscall; });
    runVcpu(g.v, 1000);
    assert.equal(g.v.state.cr0_ts, 1);
    assert.ok(g.v.cpu.field32(CPU.mode) & MODE.ts);
    g.enterUser();
    exits(g, () => EXIT.syscall);
    runVcpu(g.v, 1000);
    assert.equal(g.v.cpu.rip, SYSCALL);
  });
  test('exceptions, software interrupts and privileged instructions reach the guest', () => {
    for (const [exit, info, rip] of [[EXIT.exception, 0, HANDLER], [EXIT.softint, 0x21, HANDLER + 13n * 16n], [EXIT.privileged, PRIV.hlt, HANDLER + 13n * 16n]] as const) {
      const g = new TrapGuest();
      exits(g, () => { g.v.cpu.setField32(CPU.exitInfo, info); g.v.cpu.setField32(CPU.errorCode, NO_ERROR_CODE); return exit; });
      runVcpu(g.v, 1000);
      assert.equal(g.v.cpu.rip, rip);
    }
  });
  test('#NM clears TS, as the guest’s handler expects', () => {
    const g = new TrapGuest();
    g.v.setTaskSwitched(true);
    exits(g, () => { g.v.cpu.setField32(CPU.exitInfo, 7); return EXIT.exception; });
    runVcpu(g.v, 1000);
    assert.equal(g.v.state.cr0_ts, 0);
    assert.equal(g.v.cpu.field32(CPU.mode) & MODE.ts, 0);
  });
});

describe('a slice ends', () => {
  const nothing = (g: TrapGuest, retired: number) => (): number => {
    retire(g, retired);
    g.v.cpu.setField32(CPU.exitInfo, PRIV.cpuid);
    return EXIT.privileged;
  };
  test('when its instructions are used, exits being charged', () => {
    const g = new TrapGuest();
    const count = exits(g, nothing(g, 400), nothing(g, 400), nothing(g, 400), nothing(g, 400));
    runVcpu(g.v, 1000);
    assert.equal(count.runs, 3);
  });
  test('for a guest that makes hypercalls only', () => {
    const g = new TrapGuest();
    let runs = 0;
    g.fake.machine.onRun = () => { runs++; g.v.cpu.set(REG.rax, 11n); return EXIT.syscall; };
    runVcpu(g.v, 100_000);
    assert.ok(runs > 10 && runs < 1000, `${runs} hypercalls`);
  });
  test('when the vCPU blocks or the domain is shut down', () => {
    for (const end of [(g: TrapGuest) => g.v.pause(VPF.blocked), (g: TrapGuest) => g.fake.domain.shutdown(0)]) {
      const g = new TrapGuest();
      const count = exits(g, () => { end(g); return nothing(g, 1)(); }, nothing(g, 1));
      runVcpu(g.v, 1000);
      assert.equal(count.runs, 1);
      runVcpu(g.v, 1000);
      assert.equal(count.runs, 1);
    }
  });
});

describe('a hypercall in the middle of a run', () => {
  /** What its hook says, and what it takes off the budget. */
  const serve = (g: TrapGuest, number: number, ...args: readonly number[]): { exit: number | undefined; charged: number } => {
    g.v.cpu.set(REG.rax, BigInt(number));
    [REG.rdi, REG.rsi].forEach((r, i) => g.v.cpu.set(r, BigInt(args[i] ?? 0)));
    const exit = machineHooks(g.fake.domain).hypercall?.(g.v.cpu);
    return { exit, charged: g.fake.machine.charged };
  };
  test('is served and charged, and the guest goes on', () => {
    const g = new TrapGuest();
    const { exit, charged } = serve(g, HYPERVISOR.fpu_taskswitch, 1);
    assert.equal(exit, EXIT.none);
    assert.equal(g.v.state.cr0_ts, 1);
    assert.ok(charged >= 250, `charged ${charged}`);
  });
  test('ends the run when the vCPU may not go on', () => {
    const g = new TrapGuest();
    assert.equal(serve(g, HYPERVISOR.sched_op, SCHEDOP.block).exit, EXIT.budget);
    assert.ok(g.v.pauseFlags & VPF.blocked);
  });
  test('is left to the exit when exits are traced', () => {
    const g = new TrapGuest();
    g.fake.domain.trace.set('exec', true);
    assert.deepEqual(serve(g, HYPERVISOR.fpu_taskswitch, 1), { exit: EXIT.syscall, charged: 0 });
    assert.equal(g.v.state.cr0_ts, 0);
  });
});

describe('an exception in the middle of a run', () => {
  const raise = (g: TrapGuest): { exit: number | undefined; charged: number } => {
    g.v.cpu.setField32(CPU.exitInfo, 0);
    g.v.cpu.setField32(CPU.errorCode, NO_ERROR_CODE);
    const exit = machineHooks(g.fake.domain).exception?.(g.v.cpu);
    return { exit, charged: g.fake.machine.charged };
  };
  test('reaches the guest, who is charged for it and goes on', () => {
    const g = new TrapGuest();
    const { exit, charged } = raise(g);
    assert.equal(exit, EXIT.none);
    assert.equal(g.v.cpu.rip, HANDLER);
    assert.ok(charged >= 50, `charged ${charged}`);
  });
  test('lets an event that waits for the way back through', () => {
    const g = new TrapGuest();
    g.fake.capsule.u8[g.v.info + vcpu_info.offset.evtchn_upcall_pending] = 1;
    assert.equal(raise(g).exit, EXIT.none);
    assert.equal(g.v.cpu.rip, EVENT);
  });
  test('ends the run when there is nobody to handle it', () => {
    const g = new TrapGuest();
    g.fake.capsule.u8.fill(0, g.v.trapTable, g.v.trapTable + 16);
    assert.equal(raise(g).exit, EXIT.budget);
    assert.match(g.fake.domain.crashText ?? '', /unhandled trap/);
  });
  test('is left to the exit when exits are traced', () => {
    const g = new TrapGuest();
    g.fake.domain.trace.set('exec', true);
    const { rip } = g.v.cpu;
    assert.deepEqual(raise(g), { exit: EXIT.exception, charged: 0 });
    assert.equal(g.v.cpu.rip, rip);
  });
});

test('events are delivered on the way in', () => {
  const g = new TrapGuest();
  exits(g, () => { g.fake.capsule.u8[g.v.info + vcpu_info.offset.evtchn_upcall_pending] = 1; g.v.cpu.setField32(CPU.exitInfo, PRIV.cpuid); return EXIT.privileged; });
  runVcpu(g.v, 1000);
  assert.equal(g.v.cpu.rip, EVENT);
});

test('an exception of ours crashes the domain, with a report, and not the host', () => {
  const g = new TrapGuest();
  exits(g, () => { throw new Error('bug'); });
  runVcpu(g.v, 1000);
  assert.equal(g.fake.domain.shutdownReason, 3);
  assert.match(g.fake.domain.crashText ?? '', /error in the hypervisor: Error: bug/);
});

test('a crash report shows registers, code, stack, page walks and the last hypercalls', () => {
  const g = new TrapGuest();
  g.place(g.va(g.free), g.kernelSp - 0x100n);
  g.setWord(g.va(g.free), 0x1122_3344_5566_7788n);
  g.setWord(g.kernelSp - 0x100n, 0xfeed_face_cafe_beefn);
  exits(g, () => { g.v.cpu.set(REG.rax, BigInt(HYPERVISOR.stack_switch)); return EXIT.syscall; });
  runVcpu(g.v, 1000);
  g.fake.domain.crash('for a test', g.v);
  const text = g.fake.domain.crashText ?? '';
  for (const part of [
    /crashed: for a test/, /guest kernel mode/, new RegExp(`rip ${g.va(g.free).toString(16)}`), /code at rip: 88 77 66 55 44 33 22 11/, /feedfacecafebeef/,
    new RegExp(`L4\\[1ff\\] = [0-9a-f]{16}\n  L3\\[1fe\\] = `), /walk of cr2 0000000000000000:\n  L4\[000\] = 0000000000000000/, /stack_switch\(0000000000000000/,
  ]) assert.match(text, part);
  g.fake.domain.crash('again', g.v);
  assert.equal(g.fake.domain.crashText, text);
});

test('an instruction that is not implemented is named in the log once, and counted', () => {
  const g = new TrapGuest();
  const hooks = machineHooks(g.fake.domain);
  for (let i = 0; i < 3; i++) hooks.unimplemented(g.v.cpu, 'VADDPS');
  assert.deepEqual(g.fake.host.lines.filter((l) => l.includes('VADDPS')).length, 1);
  assert.equal(g.fake.domain.unimplemented.get('VADDPS'), 3);
  for (let i = 0; i < 1000; i++) hooks.unimplemented(g.v.cpu, `bytes ${i}`);
  assert.equal(g.fake.domain.unimplemented.size, 33);
  assert.equal(g.fake.domain.unimplemented.get('others'), 1000 - 31);
});
