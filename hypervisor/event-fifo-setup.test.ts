import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EACCES, EFAULT, EINVAL, ENOENT, ENOSPC, ENOSYS, EOPNOTSUPP } from '#abi/errno.ts';
import {
  EVTCHNOP, evtchn_bind_ipi, evtchn_expand_array, evtchn_fifo_control_block, evtchn_init_control, evtchn_port, evtchn_reset, evtchn_set_priority,
} from '#abi/event-channel.ts';
import { shared_info } from '#abi/xen.ts';
import { allocUnboundFor } from './event-backend.ts';
import { destroyEventChannels, do_event_channel_op } from './event-channel.ts';
import { fifoFrames } from './event-fifo-pages.ts';
import { portIsPending } from './event-port.ts';
import { MAX_PORTS } from './event-table.ts';
import { XEN_FRAME } from './layout.ts';
import { PGC_count_mask, PGT_count_mask, PGT_l1_page_table } from './mm/frame-table.ts';
import { getPageAndType } from './mm/page-type.ts';
import { auditMemory } from './testing/audit-memory.ts';
import { DomU, SELF, UNMAPPED } from './testing/domu.ts';
import { FifoGuest, LINKED, PENDING } from './testing/fifo-guest.ts';
import type { Vcpu } from './vcpu.ts';

const op = do_event_channel_op;
const pending = (v: Vcpu): boolean => v.upcallPending;

test('what was pending in the two-level ABI is so in the other', () => {
  const u = new DomU();
  const port = u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 0 }).out.port;
  u.op(op, EVTCHNOP.send, evtchn_port, { port });
  u.fake.capsule.u8[u.v.info] = 0;
  const init = u.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu: 0, control_gfn: BigInt(u.guest.mfn(u.free)) });
  assert.deepEqual([init.rc, init.out.link_bits], [0, 17]);
  assert.ok(!pending(u.v));
  assert.equal(u.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: BigInt(u.guest.mfn(u.free + 1)) }).rc, 0);
  assert.ok(pending(u.v));
  assert.equal(u.fake.capsule.i32[(u.fake.capsule.frame(u.guest.mfn(u.free + 1)) >>> 2) + port], PENDING | LINKED);
});

test('a vCPU without a control block: its events stay pending and are delivered nowhere', () => {
  const u = new DomU(2);
  const mfn = (page: number): bigint => BigInt(u.guest.mfn(u.free + page));
  u.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu: 0, control_gfn: mfn(0) });
  u.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: mfn(1) });
  const port = u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 1 }).out.port;
  u.op(op, EVTCHNOP.send, evtchn_port, { port });
  assert.ok(portIsPending(u.domain, port));
  assert.ok(!pending(u.vcpu(1)));
});

test('init_control: its errors', () => {
  const u = new FifoGuest();
  const size = evtchn_fifo_control_block.size;
  assert.equal(u.initControl(1), -ENOENT);
  assert.equal(u.initControl(0, { offset: 4096 }), -EINVAL);
  assert.equal(u.initControl(0), -EINVAL, 'it has one');
  const fresh = new DomU(2);
  const init = (offset: number, gfn = BigInt(fresh.guest.mfn(fresh.free)), vcpu = 0): number => fresh.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu, offset, control_gfn: gfn }).rc;
  assert.equal(init(4096 - size + 1), -EINVAL);
  assert.equal(init(0xffff_fff8), -EINVAL);
  assert.equal(init(4), -EINVAL, 'aligned to 8 bytes');
  for (const gfn of [0n, BigInt(fresh.fake.capsule.totalFrames), 1n << 40n, (1n << 64n) - 1n, BigInt(fresh.guest.mfn(fresh.guest.l1))]) assert.equal(init(0, gfn), -EINVAL, `frame ${gfn}`);
  assert.equal(fresh.op(op, EVTCHNOP.set_priority, evtchn_set_priority, { port: 0 }).rc, -ENOSYS, 'the two-level ABI is still in use');
  assert.equal(init(4096 - size), 0);
  assert.equal(init(0, BigInt(fresh.guest.mfn(fresh.free)), 1), 0, 'two in one page');
  assert.deepEqual(fifoFrames(fresh.domain), [fresh.guest.mfn(fresh.free), fresh.guest.mfn(fresh.free)]);
});

test('expand_array: its errors, and 128 pages at the most', () => {
  const u = new DomU();
  const expand = (gfn: bigint): number => u.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: gfn }).rc;
  const page = BigInt(u.guest.mfn(u.free));
  assert.equal(expand(page), -EOPNOTSUPP);
  u.op(op, EVTCHNOP.init_control, evtchn_init_control, { control_gfn: BigInt(u.guest.mfn(u.free + 1)) });
  for (const gfn of [0n, BigInt(u.fake.capsule.totalFrames), (1n << 64n) - 1n, BigInt(u.guest.mfn(u.guest.l1))]) assert.equal(expand(gfn), -EINVAL, `frame ${gfn}`);
  for (let i = 0; i < 128; i++) assert.equal(expand(page), 0);
  assert.equal(expand(page), -ENOSPC);
  assert.equal(expand(0n), -ENOSPC);
});

test('set_priority: its errors', () => {
  const u = new FifoGuest();
  const port = u.bindIpi();
  assert.deepEqual([0, 15, 16, 0xffff_ffff].map((priority) => u.setPriority(port, priority)), [0, 0, -EINVAL, -EINVAL]);
  assert.equal(u.setPriority(64, 0), -EINVAL);
  assert.equal(u.setPriority(0xffff_ffff, 99), -EINVAL);
  assert.equal(u.setPriority(0, 0), -EACCES);
  assert.equal(u.setPriority(port + 1, 99), -EACCES, 'free');
  u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF });
  assert.equal(u.setPriority(port, 0), -ENOSYS);
  for (const cmd of [EVTCHNOP.init_control, EVTCHNOP.expand_array, EVTCHNOP.set_priority]) assert.equal(u.call(op, cmd, UNMAPPED), -EFAULT);
});

test('more ports than the two-level ABI can number', () => {
  const u = new FifoGuest(1, MAX_PORTS / 1024);
  for (let port = 1; port < MAX_PORTS; port++) assert.equal(allocUnboundFor(u.domain, 0), port);
  assert.equal(allocUnboundFor(u.domain, 0), -ENOSPC);
  assert.equal(u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, {}).rc, -ENOSPC);
  const last = MAX_PORTS - 1;
  assert.equal(u.close(last), 0);
  assert.equal(u.bindIpi(), last);
  u.send(last);
  assert.deepEqual(u.take(), [last]);
  u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF });
  assert.ok(!portIsPending(u.domain, last));
  assert.equal(u.op(op, EVTCHNOP.send, evtchn_port, { port: last }).rc, -EINVAL);
  assert.equal(u.unmask(last), 0);
  for (let port = 1; port < 4096; port++) assert.equal(allocUnboundFor(u.domain, 0), port);
  assert.equal(allocUnboundFor(u.domain, 0), -ENOSPC, 'the two-level ABI is in use again');
});

test('reset closes all, gives the pages back and returns to the two-level ABI; then FIFO can be chosen anew', () => {
  const u = new FifoGuest(2, 2);
  const frames = fifoFrames(u.domain);
  assert.equal(frames.length, 4);
  const counts = (): number[][] => frames.map((mfn) => [u.domain.mm.frames.count(mfn) & PGC_count_mask, u.domain.mm.frames.type(mfn) & PGT_count_mask]);
  const held = counts();
  u.send(u.bindIpi());
  assert.equal(u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF }).rc, 0);
  assert.deepEqual(fifoFrames(u.domain), []);
  assert.deepEqual(counts(), held.map(([count, type]) => [(count as number) - 1, (type as number) - 1]));
  const port = u.bindIpi();
  assert.equal(port, 1);
  u.fake.capsule.u8[u.v.info] = 0;
  u.send(port);
  assert.equal(u.fake.capsule.u8[u.fake.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.evtchn_pending], 1 << port);
  assert.equal(u.initControl(0), 0);
});

test('a page of the ABI cannot become a page table, and is let go at the end of the domain', () => {
  const u = new FifoGuest(1, 1);
  const held = (): { mfn: number; writable: true; why: string }[] => fifoFrames(u.domain).map((mfn) => ({ mfn, writable: true, why: 'FIFO' }));
  assert.equal(held().length, 2);
  assert.deepEqual(auditMemory(u.domain, held()), []);
  for (const mfn of fifoFrames(u.domain)) assert.equal(getPageAndType(u.domain.mm, mfn, PGT_l1_page_table), -EINVAL);
  u.send(u.bindIpi());
  destroyEventChannels(u.domain);
  assert.deepEqual(auditMemory(u.domain), []);
});
