// Guest code on the real machine, through the run loop: what a kernel sees of hypercalls, system calls, faults,
// software interrupts, events and single steps. The code is small enough to be written in hexadecimal.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HYPERVISOR, iret_context, SHUTDOWN, vcpu_info } from '#abi/xen.ts';
import { Capsule } from '#base/capsule.ts';
import { FLAG, REG } from '#machine/cpu-state.ts';
import { Interpreter, scratchSize } from '#machine/engine/interpreter.ts';
import type { MachineHooks } from '#machine/machine.ts';
import { Domain } from './domain.ts';
import { machineHooks } from './hooks.ts';
import { XEN_FRAME } from './layout.ts';
import { runVcpu } from './run.ts';
import { FakeHost, type FakeMachine } from './testing/fake-machine.ts';
import { TrapGuest, USER_CS, USER_SS } from './testing/trap-guest.ts';
import { VPF } from './vcpu.ts';
import { initDomainState } from './init.ts';
import { clockOf } from './time.ts';

/** A guest on the interpreter. Its code goes to one page, user code to another; both are mapped for both modes. */
class RealGuest extends TrapGuest {
  readonly code: number;
  readonly user: number;

  constructor() {
    const frames = 256;
    const xenFrames = XEN_FRAME.m2p + 16;
    const capsule = new Capsule(frames, xenFrames, scratchSize(frames + xenFrames));
    const hooks = {} as MachineHooks;
    const machine = new Interpreter(capsule, 1, hooks);
    const host = new FakeHost();
    const domain = new Domain(1, machine, host);
    Object.assign(hooks, machineHooks(domain));
    super({ domain, machine: Object.assign(machine, { calls: [] }) as unknown as FakeMachine, host, capsule });
    initDomainState(domain, { deterministic: true });
    this.v.upcallMask = 0;
    machine.setFlags(this.v.cpu, FLAG.if);
    this.v.unpause(VPF.down);
    this.code = this.free + 10;
    this.user = this.free + 11;
  }

  /** Puts code at an offset of a page; bytes in hexadecimal, spaces free. */
  assemble(pfn: number, offset: number, hex: string): bigint {
    const bytes = hex.replace(/\s/g, '').match(/../g)?.map((b) => Number.parseInt(b, 16)) ?? [];
    this.fake.capsule.u8.set(bytes, this.fake.capsule.frame(this.mfn(pfn)) + offset);
    return this.va(pfn) + BigInt(offset);
  }
  /** Runs kernel code to its end. */
  run(rip: bigint): void {
    this.place(rip, this.kernelSp);
    runVcpu(this.v, 100_000);
  }
  reg(r: number): bigint { return this.v.cpu.get(r); }
}

/** UD2, which has no handler here: the crash stops the guest where the test wants to look at it. */
const STOP = '0f 0b';
function guest(): RealGuest {
  const g = new RealGuest();
  g.handle(6, 0n, 0);
  return g;
}
function stopped(g: RealGuest): void {
  assert.equal(g.fake.domain.shutdownReason, SHUTDOWN.crash);
  assert.match(g.fake.domain.crashText ?? '', /unhandled trap invalid_op/);
}

test('a hypercall returns behind the SYSCALL, with rcx and r11 as SYSCALL sets them', () => {
  const g = guest();
  // mov eax, 11; syscall; ud2
  const at = g.assemble(g.code, 0, `b8 0b 00 00 00  0f 05  ${STOP}`);
  g.run(at);
  stopped(g);
  assert.equal(BigInt.asIntN(64, g.reg(REG.rax)), -38n);
  assert.equal(g.reg(REG.rcx), at + 7n);
  assert.equal(g.reg(REG.r11) & 0x200n, 0x200n);
  assert.equal(g.v.cpu.rip, at + 7n);
});

test('system call from user mode and back by iret with VGCF_in_syscall', () => {
  const g = guest();
  // user: mov eax, 0x1234; syscall; mov ebx, eax; int3
  const user = g.assemble(g.user, 0, 'b8 34 12 00 00  0f 05  89 c3  cc');
  // syscall callback: pop rcx; pop r11; add eax, 1; the frame that is left is the end of an iret_context:
  // push VGCF_in_syscall; push rcx; push r11; push rax; mov eax, 23; syscall
  g.v.state.syscall_callback_eip = g.assemble(g.code, 0x100, '59  41 5b  83 c0 01  68 00 01 00 00  51  41 53  50  b8 17 00 00 00  0f 05');
  // int3 handler: ud2
  g.handle(3, g.assemble(g.code, 0x200, STOP), 0);
  // kernel: build an iret_context on the stack, then iret to user mode
  const frame = g.kernelSp - 0x200n;
  const words = { rax: 0n, r11: 0n, rcx: 0n, flags: 0n, rip: user, cs: BigInt(USER_CS), rflags: 0x202n, rsp: g.va(g.free + 12) + 0x800n, ss: BigInt(USER_SS) };
  for (const [field, value] of Object.entries(words)) g.setWord(frame + BigInt(iret_context.offset[field as keyof typeof words]), value);
  // mov eax, 23; syscall
  g.place(g.assemble(g.code, 0, 'b8 17 00 00 00  0f 05'), frame);
  runVcpu(g.v, 100_000);
  stopped(g);
  assert.equal(g.reg(REG.rbx), 0x1235n);
  assert.deepEqual(g.stackWords(7).slice(2), [user + 10n, BigInt(USER_CS), 0x202n, words.rsp, BigInt(USER_SS)]);
});

test('a page fault carries address and error code, and is restartable', () => {
  const g = guest();
  // mov rbx, 0x123456789000; mov [rbx+8], eax; handler: pop rcx; pop r11; pop rdx (error code); ud2
  const at = g.assemble(g.code, 0, `48 bb 00 90 78 56 34 12 00 00  89 43 08  ${STOP}`);
  g.handle(14, g.assemble(g.code, 0x100, `59  41 5b  5a  ${STOP}`), 4);
  g.run(at);
  stopped(g);
  assert.equal(g.reg(REG.rdx), 2n);
  assert.equal(g.v.state.cr2, 0x1234_5678_9008n);
  assert.equal(g.stackWords(1)[0], at + 10n);
  assert.equal(g.v.upcallMask, 1);
});

test('INT n, IN and CPUID of the guest kernel', () => {
  const g = guest();
  g.v.state.iopl = 0x1000;
  // in al, 0x42; movzx ebx, al; xor eax, eax; cpuid (forced); int 0x80; handler: ud2
  const at = g.assemble(g.code, 0, `e4 42  0f b6 f0  b8 00 00 00 40  0f 0b 78 65 6e 0f a2  cd 80  ${STOP}`);
  g.handle(0x80, g.assemble(g.code, 0x100, STOP), 1);
  g.run(at);
  stopped(g);
  assert.equal(g.reg(REG.rsi), 0xffn);
  assert.equal(g.reg(REG.rax), 0x4000_0005n);
  assert.equal(g.reg(REG.rbx), 0x566e_6558n);
  assert.equal(g.stackWords(3)[2], at + 19n);
});

test('RDTSC when virtual time has jumped to a timer at the end of all time', () => {
  const g = guest();
  clockOf(g.fake.domain).skipTo(2 ** 63);
  g.run(g.assemble(g.code, 0, `0f 31 ${STOP}`));
  assert.doesNotMatch(g.fake.domain.crashText ?? '', /error in the hypervisor/);
  assert.deepEqual([g.reg(REG.rax), g.reg(REG.rdx)], [0xffff_ffffn, 0xffff_ffffn]);
});

test('an event interrupts a loop in user mode', () => {
  const g = guest();
  g.v.state.event_callback_eip = g.assemble(g.code, 0x100, STOP);
  g.enterUser(g.assemble(g.user, 0, 'eb fe'), g.va(g.free + 12) + 0x800n); // jmp to itself
  runVcpu(g.v, 10_000);
  assert.ok(!g.fake.domain.isShutDown);
  g.fake.capsule.u8[g.v.info + vcpu_info.offset.evtchn_upcall_pending] = 1;
  runVcpu(g.v, 10_000);
  stopped(g);
  assert.deepEqual(g.stackWords(4).slice(2), [g.va(g.user), BigInt(USER_CS)]);
});

test('TF traps after the next instruction, emulated or not', () => {
  for (const [code, length] of [['90', 1n], ['0f a2', 2n]] as const) {
    const g = guest();
    g.handle(1, g.assemble(g.code, 0x100, STOP), 0);
    // pushf; or dword [rsp], 0x100; popf; CODE; ud2
    const at = g.assemble(g.code, 0, `9c  81 0c 24 00 01 00 00  9d  ${code}  ${STOP}`);
    g.run(at);
    stopped(g);
    assert.equal(g.stackWords(3)[2], at + 9n + length, code);
    assert.ok(((g.stackWords(5)[4] as bigint) & 0x100n) !== 0n);
  }
});

test('a kernel stack overflow into nothing ends the domain', () => {
  const g = guest();
  g.handle(14, g.va(g.code), 0);
  // xor esp, esp; push rax
  g.run(g.assemble(g.code, 0, '31 e4  50'));
  assert.match(g.fake.domain.crashText ?? '', /bounce frame/);
});

test('hypercalls through the hypercall page', async () => {
  const { fillHypercallPage } = await import('./hypercall-page.ts');
  const g = guest();
  const page = g.free + 13;
  fillHypercallPage(g.fake.capsule, g.fake.capsule.frame(g.mfn(page)));
  const entry = g.va(page) + BigInt(HYPERVISOR.stack_switch * 32);
  // mov edi, 0x2b; mov esi, 0x5000; mov rax, entry; call rax; ud2
  g.v.cpu.set(REG.rcx, 7n);
  const address = entry.toString(16).match(/../g)?.reverse().join(' ') ?? '';
  g.run(g.assemble(g.code, 0, `bf 2b 00 00 00  be 00 50 00 00  48 b8 ${address}  ff d0  ${STOP}`));
  stopped(g);
  assert.equal(g.reg(REG.rax), 0n);
  assert.equal(g.reg(REG.rcx), 0x1111n);
  assert.equal(g.v.state.kernel_sp, 0x5000n);
});
