import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVTCHNOP, evtchn_bind_ipi, evtchn_port } from '#abi/event-channel.ts';
import { RUNSTATE } from '#abi/vcpu.ts';
import { HYPERVISOR } from '#abi/xen.ts';
import { REG } from '#machine/cpu-state.ts';
import { settleCounters } from './counters.ts';
import { do_event_channel_op } from './event-channel.ts';
import { serveHypercall } from './hypercall-table.ts';
import { runDomain } from './sched.ts';
import { readStatistics, total } from './statistics.ts';
import { DomU } from './testing/domu.ts';
import { TrapGuest } from './testing/trap-guest.ts';
import { clockOf } from './time.ts';
import { TRAP } from './trap-names.ts';
import { deliverEvents, injectException } from './traps.ts';
import { vcpu_state, VPF } from './vcpu.ts';

const statistics = (u: DomU): ReturnType<typeof readStatistics> => readStatistics(u.fake.capsule, u.domain.vcpus.length, clockOf(u.domain).now());

test('time is that of the runstates, the current spell included', () => {
  const u = new DomU(2);
  runDomain(u.domain, 2_000_000, (v, budget) => u.retire(v, budget));
  const v = u.vcpu(0);
  v.pause(VPF.blocked);
  runDomain(u.domain, 1, () => assert.fail('it is blocked'));
  clockOf(u.domain).skipTo(5_000_000);
  const [first, second] = statistics(u).vcpus;
  assert.deepEqual([first?.state, first?.times[RUNSTATE.running], first?.times[RUNSTATE.blocked]], [RUNSTATE.blocked, 2_000_000, 3_000_000]);
  assert.deepEqual([second?.online, second?.times[RUNSTATE.offline]], [false, 5_000_000]);
  assert.equal(first?.online, true);
});

test('instructions and TLB misses are told apart by vCPU', () => {
  const u = new DomU(2);
  const second = u.vcpu(1);
  second.unpause(VPF.down);
  runDomain(u.domain, 4_000_000, (v, budget) => {
    u.retire(v, budget);
    u.fake.machine.tlbMisses += v === second ? 10 : 1;
  });
  const s = statistics(u);
  assert.deepEqual(s.vcpus.map(({ instructions }) => instructions), [2_000_000, 2_000_000]);
  assert.deepEqual(s.vcpus.map(({ tlbMisses }) => tlbMisses), [2, 20]);
  assert.equal(total(s, 'tlbMisses'), 22);
});

test('hypercalls are counted by number; what only the total knows of is the iret of generated code', () => {
  const g = new TrapGuest();
  const u = g.fake;
  const call = (number: number): void => {
    g.v.cpu.setPair(REG.rax, number, 0);
    serveHypercall(g.v);
  };
  for (let i = 0; i < 3; i++) call(HYPERVISOR.stack_switch);
  for (const number of [63, 64, 70, 0xffff_ffff]) call(number); // the last ones have no counter, and harm no other
  const count = (g.v.base + vcpu_state.offset.hypercall_count) >>> 2;
  (u.capsule.u32 as Uint32Array)[count] = (u.capsule.u32[count] as number) + 5;
  const read = (): ReturnType<typeof readStatistics>['vcpus'][number] | undefined => readStatistics(u.capsule, 1, 0).vcpus[0];
  assert.equal(read()?.hypercalls, 0, 'not settled yet');
  settleCounters(g.v);
  const s = read();
  assert.equal(s?.hypercalls, 12);
  assert.deepEqual([s?.byHypercall[HYPERVISOR.stack_switch], s?.byHypercall[63], s?.byHypercall[HYPERVISOR.iret]], [3, 1, 8]);
  assert.deepEqual([s?.upcalls, s?.sends, s?.pageFaults, s?.exceptions], [0, 0, 0, 0]);
});

test('the count of hypercalls goes on where that of the vCPU wraps', () => {
  const u = new DomU();
  const count = (u.v.base + vcpu_state.offset.hypercall_count) >>> 2;
  const { u32 } = u.fake.capsule;
  const turn = (): void => { runDomain(u.domain, 1000, (v, budget) => u.retire(v, budget)); };
  u32[count] = 0xffff_fff0;
  turn();
  u32[count] = 0x10;
  turn();
  assert.equal(statistics(u).vcpus[0]?.hypercalls, 0x1_0000_0010);
});

test('events sent and delivered, page faults and other exceptions', () => {
  const g = new TrapGuest();
  injectException(g.v, TRAP.page_fault, 0);
  injectException(g.v, TRAP.gp_fault, 0);
  injectException(g.v, TRAP.gp_fault, 0);
  g.fake.capsule.u8[g.v.info] = 1;
  deliverEvents(g.v);
  g.fake.capsule.u8[g.v.info] = 1;
  deliverEvents(g.v); // masked now: not delivered
  const [s] = readStatistics(g.fake.capsule, 1, 0).vcpus;
  assert.deepEqual([s?.pageFaults, s?.exceptions, s?.upcalls], [1, 2, 1]);
  const u = new DomU();
  const { port } = u.op(do_event_channel_op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 0 }).out;
  for (let i = 0; i < 4; i++) assert.equal(u.op(do_event_channel_op, EVTCHNOP.send, evtchn_port, { port }).rc, 0);
  assert.equal(statistics(u).vcpus[0]?.sends, 4);
});

test('memory is what the domain owns', () => {
  const u = new DomU();
  assert.equal(statistics(u).memory, 64 * 4096);
  assert.equal(statistics(u).maxMemory, 64 * 4096);
});

