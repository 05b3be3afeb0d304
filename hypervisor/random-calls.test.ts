// Random calls with random arguments: whatever a guest asks, the answer is a number, never an exception of ours, and
// the counts of its frames still add up. A failing seed is in the message; run one alone with SEED in the environment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EVTCHNOP, evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_expand_array, evtchn_init_control, evtchn_port, evtchn_set_priority,
} from '#abi/event-channel.ts';
import { GNTTABOP, gnttab_copy, gnttab_map_grant_ref, gnttab_set_version, gnttab_transfer, gnttab_unmap_and_replace, gnttab_unmap_grant_ref } from '#abi/grant-table.ts';
import { do_console_io } from './console-io.ts';
import { destroyDomain } from './domain-destroy.ts';
import { DomainRegistry } from './domain-registry.ts';
import { do_event_channel_op } from './event-channel.ts';
import { grantVersion } from './grant-entry.ts';
import { do_grant_table_op } from './grant-table.ts';
import { do_hvm_op } from './hvm-op.ts';
import type { Hypercall } from './hypercall.ts';
import { XEN_FRAME } from './layout.ts';
import { do_physdev_op } from './physdev.ts';
import { runDomain } from './sched.ts';
import { do_sched_op, do_sched_op_compat } from './sched-op.ts';
import { auditDomain } from './testing/audit-domain.ts';
import { DomU, SELF } from './testing/domu.ts';
import { do_set_timer_op } from './timer.ts';
import { do_vcpu_op } from './vcpu-op.ts';
import { do_xen_version } from './version.ts';

/** Calls that two domains make. */
const LIFE = 400;

const HANDLERS: readonly Hypercall[] = [
  do_event_channel_op, do_event_channel_op, do_grant_table_op, do_grant_table_op, do_grant_table_op, do_vcpu_op, do_vcpu_op, do_sched_op,
  do_sched_op_compat, do_set_timer_op, do_xen_version, do_physdev_op, do_hvm_op, do_console_io,
];

/** A small generator of random numbers (xorshift32): [0, n). */
function generator(seed: number): (n: number) => number {
  let x = seed | 1;
  return (n) => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return (x >>> 0) % n;
  };
}

function value(u: DomU, random: (n: number) => number): bigint {
  const { guest } = u;
  switch (random(12)) {
    case 0: return BigInt(random(70));
    case 1: return guest.va(guest.free + random(8)) + BigInt(random(512) * 8);
    case 2: return BigInt(guest.mfn(random(64)));
    case 3: return BigInt(guest.mfn(random(64))) * 4096n + BigInt(random(512) * 8);
    case 4: return (BigInt(random(0x1_0000_0000)) << 32n) | BigInt(random(0x1_0000_0000));
    case 5: return 0x7ff0n;
    case 6: return BigInt(u.domain.domid) | (BigInt(random(4)) << 32n);
    case 7: return -BigInt(random(3));
    case 8: case 9: return BigInt(random(24)) | (BigInt(random(16)) << 32n);
    default: return BigInt(random(4));
  }
}

/** Two domains that see each other. */
function pair(): [DomU, DomU] {
  const peers = new DomainRegistry();
  return [new DomU(3, { deterministic: true }, 1, peers), new DomU(3, { deterministic: true }, 2, peers)];
}

/** Writes a random entry, of the version that the table has, mostly. */
function randomEntry(u: DomU, random: (n: number) => number): void {
  const { capsule } = u.domain;
  const at = capsule.frame(XEN_FRAME.grantTable) >>> 3;
  const frame = BigInt(u.guest.mfn(random(64)));
  const domid = BigInt(1 + random(random(4) ? 2 : 3));
  if (grantVersion(capsule) === 1) {
    capsule.u64[at + random(16)] = frame << 32n | domid << 16n | BigInt(random(8));
    return;
  }
  const entry = at + random(16) * 2;
  const type = random(2) ? 1 : random(4) ? 3 : 0x101;
  const rest = type === 3 ? BigInt(1 + random(3)) : BigInt(random(64)) | BigInt(random(4096)) << 16n;
  capsule.u64[entry] = rest << 32n | domid << 16n | BigInt(type);
  capsule.u64[entry + 1] = type === 3 ? BigInt(random(16)) : frame;
}

/** Mapping grants needs arguments that fit each other: chance alone hardly finds any. */
function mapOrUnmap(u: DomU, random: (n: number) => number): number {
  const { guest } = u;
  const slot = guest.free + 8 + random(4);
  const contains = random(4) === 0;
  const host_addr = contains ? guest.entryAddress(guest.l1, slot) : guest.va(slot);
  const handle = random(6);
  if (random(2)) {
    const flags = 1 + random(7) + (contains ? 16 : 0);
    return u.call(do_grant_table_op, GNTTABOP.map_grant_ref, u.put(gnttab_map_grant_ref, { host_addr, flags, ref: random(16), dom: 1 + random(2) }).va, 1);
  }
  if (random(6) === 0) return u.call(do_grant_table_op, GNTTABOP.set_version, u.put(gnttab_set_version, { version: 1 + random(2) }).va, 1);
  if (random(6) === 0) return u.call(do_grant_table_op, GNTTABOP.transfer, u.put(gnttab_transfer, { mfn: BigInt(guest.mfn(random(64))), domid: 1 + random(3), ref: random(16) }).va, 1);
  if (random(3) === 0) {
    const flags = random(4);
    const side = (isRef: boolean): [bigint, number] => (isRef ? [BigInt(random(16)), 1 + random(2)] : [BigInt(guest.mfn(random(64))), 0x7ff0]);
    const [[source_u, source_domid], [dest_u, dest_domid]] = [side((flags & 1) !== 0), side((flags & 2) !== 0)];
    // not over the pages that arguments and tables are in
    const safe = (flags & 2) !== 0 || dest_u >= BigInt(guest.mfn(guest.free + 8)) ? dest_u : BigInt(guest.mfn(guest.free + 8));
    return u.call(do_grant_table_op, GNTTABOP.copy, u.put(gnttab_copy, { source_u, source_domid, source_offset: random(100), dest_u: safe, dest_domid, dest_offset: random(100), len: random(200), flags }).va, 1);
  }
  if (random(4) === 0) return u.call(do_grant_table_op, GNTTABOP.unmap_and_replace, u.put(gnttab_unmap_and_replace, { host_addr, new_addr: guest.va(slot + random(2)), handle }).va, 1);
  const dev_bus_addr = random(2) ? 0n : BigInt(guest.mfn(random(64))) * 4096n;
  return u.call(do_grant_table_op, GNTTABOP.unmap_grant_ref, u.put(gnttab_unmap_grant_ref, { host_addr: random(3) ? host_addr : 0n, dev_bus_addr, handle }).va, 1);
}

/** FIFO events and channels between domains, for the same reason. */
function useEvents(u: DomU, random: (n: number) => number): number {
  const page = (): bigint => BigInt(u.guest.mfn(u.guest.free + 12 + random(8)));
  const port = random(6);
  const remote_dom = 1 + random(3);
  switch (random(8)) {
    case 0: return u.op(do_event_channel_op, EVTCHNOP.init_control, evtchn_init_control, { control_gfn: page(), offset: random(6) * 100, vcpu: random(4) }).rc;
    case 1: return u.op(do_event_channel_op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: page() }).rc;
    case 2: return u.op(do_event_channel_op, EVTCHNOP.set_priority, evtchn_set_priority, { port, priority: random(17) }).rc;
    case 3: return u.op(do_event_channel_op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: SELF, remote_dom }).rc;
    case 4: return u.op(do_event_channel_op, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, { remote_dom, remote_port: port }).rc;
    case 5: return u.op(do_event_channel_op, random(2) ? EVTCHNOP.close : EVTCHNOP.unmask, evtchn_port, { port }).rc;
    default: return u.op(do_event_channel_op, EVTCHNOP.send, evtchn_port, { port }).rc;
  }
}

function audit(all: readonly DomU[]): void {
  for (const { domain } of all) assert.deepEqual(auditDomain(domain), []);
}

/** The life of two domains ends, that of one before the other's. */
function end([first, last]: readonly [DomU, DomU]): void {
  audit([first, last]);
  destroyDomain(first.domain);
  audit([last]);
  destroyDomain(last.domain);
  assert.deepEqual(last.domain.peers.all(), []);
}

function play(seed: number, calls: number): void {
  const random = generator(seed);
  let both = pair();
  for (let i = 0; i < calls; i++) {
    if (both.some((u) => u.domain.isShutDown) || i % LIFE === 0) { // a guest soon maps away the pages that its arguments are in
      end(both);
      both = pair();
    }
    const u = both[random(2)] as DomU;
    const page = u.guest.free + random(4);
    for (let word = 0; word < 16; word++) u.guest.poke(page, word, BigInt.asUintN(64, value(u, random)));
    for (const one of both) randomEntry(one, random);
    const arg = random(3) === 0 ? value(u, random) : u.guest.va(page);
    const handler = HANDLERS[random(HANDLERS.length)] as Hypercall;
    const [second, third] = handler === do_vcpu_op ? [BigInt(random(4)), arg] : [arg, BigInt(random(5))];
    const result = random(3) === 0 ? mapOrUnmap(u, random) : random(3) === 0 ? useEvents(u, random) : u.callOn(u.v, handler, BigInt(random(random(8) ? 16 : 32)), second, third);
    assert.ok(Number.isSafeInteger(result), `result ${result}`);
    if (random(50) === 0) runDomain(u.domain, 1000, (v, budget) => { u.retire(v, budget); if (random(2)) v.pause(1); });
  }
  end(both);
}

const given = Number(process.env['SEED'] ?? 0);
const CALLS = Number(process.env['CALLS'] ?? 5000);
for (const seed of given ? [given] : [1, 2, 3]) {
  test(`${CALLS} random calls, seed ${seed}`, () => play(seed * 7919, CALLS));
}
