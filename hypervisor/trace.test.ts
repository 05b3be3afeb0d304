import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVTCHNOP, evtchn_bind_ipi, evtchn_port } from '#abi/event-channel.ts';
import { RUNSTATE } from '#abi/vcpu.ts';
import { HYPERVISOR } from '#abi/xen.ts';
import { CPU, EXIT, REG } from '#machine/cpu-state.ts';
import { do_event_channel_op } from './event-channel.ts';
import { machineHooks } from './hooks.ts';
import { serveHypercall } from './hypercall-table.ts';
import { runDomain } from './sched.ts';
import { DomU } from './testing/domu.ts';
import { TrapGuest } from './testing/trap-guest.ts';
import { TRACE_KIND, TraceRing } from './trace-ring.ts';
import { TRACE_CATEGORIES, type TraceCategory, type Trace } from './trace.ts';
import { TRAP } from './trap-names.ts';
import { deliverEvents, injectException, softInterrupt } from './traps.ts';
import { wake } from './vcpu-sched.ts';
import { VPF } from './vcpu.ts';

function traced(category: TraceCategory): { g: TrapGuest; lines: () => string[] } {
  const g = new TrapGuest();
  g.fake.domain.trace.set(category, true);
  return { g, lines: () => g.fake.host.lines.splice(0) };
}
const flags = (trace: Trace): boolean[] => [...TRACE_CATEGORIES.map((category) => trace[category]), trace.work];

test('exceptions: vector, place, error code where there is one, address of a page fault', () => {
  const { g, lines } = traced('faults');
  g.v.cpu.setField64(CPU.cr2, 0xffff_8000_0000_1000n);
  injectException(g.v, TRAP.page_fault, 2);
  injectException(g.v, TRAP.gp_fault, 0x10);
  g.place(0xffff_ffff_8100_1234n, g.kernelSp - 0x108n);
  injectException(g.v, TRAP.invalid_op, 0xffff_ffff);
  softInterrupt(g.v, 3, 1);
  assert.deepEqual(lines(), [
    'debug: d1v0 page_fault at ffffffff81001234 error code 0x2 address ffff800000001000', 'debug: d1v0 gp_fault at ffffffff810000e0 error code 0x10',
    'debug: d1v0 invalid_op at ffffffff81001234', 'debug: d1v0 int3 at ffffffff81000061',
  ]);
});

test('events: sent, delivered, vCPUs woken', () => {
  const { g, lines } = traced('events');
  g.fake.capsule.u8[g.v.info] = 1;
  deliverEvents(g.v);
  g.v.pause(VPF.blocked);
  wake(g.v);
  wake(g.v); // it is awake
  assert.deepEqual(lines(), ['debug: d1v0 upcall at ffffffff81001234', 'debug: d1v0 wakes']);
  const u = new DomU();
  u.domain.trace.set('events', true);
  const { port } = u.op(do_event_channel_op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 0 }).out;
  u.op(do_event_channel_op, EVTCHNOP.send, evtchn_port, { port });
  assert.deepEqual(u.fake.host.lines, [`debug: d1v0 sends an event by port ${port}`]);
});

test('returns of the machine', () => {
  const { g, lines } = traced('exec');
  g.fake.domain.trace.exit(g.v, EXIT.softint);
  assert.deepEqual(lines(), ['debug: d1v0 softint 0 at ffffffff81001234 (kernel) after 0']);
});

test('hypercalls have their arguments, not what a continuation makes of them, and their results as signed numbers', () => {
  const { g, lines } = traced('hypercalls');
  const call = (number: number, first: bigint): void => {
    g.v.cpu.set(REG.rax, BigInt(number));
    g.v.cpu.set(REG.rdi, first);
    for (const r of [REG.rsi, REG.rdx, REG.r10]) g.v.cpu.set(r, 0n);
    serveHypercall(g.v);
  };
  call(HYPERVISOR.get_debugreg, 9n);
  call(0x1_0001, 0xffff_ffff_ffff_ffffn);
  assert.deepEqual(lines(), ['debug: d1v0 get_debugreg(9, 0, 0, 0) from ffffffff81001234 = -19', 'debug: d1v0 hypercall 65537(ffffffffffffffff, 0, 0, 0) from ffffffff81001234 = -38']);
});

test('a ring keeps all but the exits; a category that is written as well goes on when the ring is gone', () => {
  const { trace } = new DomU().domain;
  assert.deepEqual(flags(trace), [false, false, false, false, false]);
  trace.keep(new TraceRing(16));
  assert.deepEqual(flags(trace), [true, true, true, false, true]);
  assert.ok(!trace.isComplete, 'system calls still need no exit');
  trace.set('faults', true);
  assert.ok(trace.isComplete);
  trace.keep(undefined);
  assert.deepEqual(flags(trace), [false, false, true, false, false]);
  trace.set('faults', false);
  assert.deepEqual(flags(trace), [false, false, false, false, false]);
});

test('a ring has each slice: whose, how long, what came of it; and what was compiled in it', () => {
  const u = new DomU(2);
  const ring = new TraceRing(64);
  u.domain.trace.keep(ring);
  u.domain.trace.pcpu = 3;
  const hooks = machineHooks(u.domain);
  runDomain(u.domain, 10_000, (v) => {
    u.retire(v, 1234);
    u.fake.host.time += 1000;
    const began = hooks.compiling?.(v.cpu) ?? 0;
    u.fake.host.time += 500;
    hooks.compiled?.(v.cpu, began);
    u.fake.machine.tlbMisses += 5;
    v.pause(VPF.blocked);
  });
  const [run, compile, ...others] = [...ring.records()];
  assert.deepEqual([run?.kind, run?.vcpu, run?.pcpu, run?.code, run?.value(0), run?.value(1)], [TRACE_KIND.run, 0, 3, RUNSTATE.blocked, 1234n, 5n]);
  assert.equal((run?.end ?? 0) - (run?.begin ?? 0), 1500);
  assert.deepEqual([compile?.kind, (compile?.end ?? 0) - (compile?.begin ?? 0)], [TRACE_KIND.compile, 500]);
  assert.deepEqual(others, []);
  assert.deepEqual(u.fake.host.lines, []);
});
