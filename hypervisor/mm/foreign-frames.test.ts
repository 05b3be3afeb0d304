import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EPERM, ESRCH } from '#abi/errno.ts';
import { GNTST } from '#abi/grant-table.ts';
import { XEN_FRAME } from '../layout.ts';
import { audit, grant, map, mapped, pair, unmap } from '../testing/grant-domains.ts';
import { FIRST_FOREIGN_FRAME, ForeignFrames, NR_FOREIGN_FRAMES } from './foreign-frames.ts';
import { do_mmu_update } from './mmu-update.ts';
import { do_update_va_mapping_otherdomain } from './update-va-mapping.ts';


test('a number stands for one frame while it is held, and for another afterwards', () => {
  const [a, b] = pair();
  const { foreign } = b.domain.mm;
  const [first, second] = [a.guest.mfn(a.free), a.guest.mfn(a.free + 1)];
  assert.equal(foreign.has(FIRST_FOREIGN_FRAME), false);
  const frame = foreign.hold(a.domain, first, false);
  assert.equal(frame, FIRST_FOREIGN_FRAME);
  assert.equal(foreign.hold(a.domain, first, true), frame);
  assert.equal(foreign.hold(a.domain, second, false), frame + 1);
  assert.equal(foreign.find(frame).mfn, first);
  const found = foreign.find(frame + 1);
  assert.deepEqual([found.offset, found.mfn], [a.fake.capsule.frame(second), second]);
  assert.ok(found.capsule === a.fake.capsule && found.machine === a.domain.machine);
  foreign.drop(frame, true);
  assert.ok(foreign.has(frame));
  foreign.drop(frame, false);
  assert.ok(!foreign.has(frame));
  assert.throws(() => foreign.find(frame));
  assert.throws(() => foreign.drop(frame, false));
  assert.equal(foreign.hold(a.domain, a.guest.mfn(a.free + 2), false), frame);
});

test('the numbers that are no frame\'s: below, above, all ones', () => {
  const { capsule, mm: { foreign } } = pair()[1].domain;
  const references = (frame: number): number => (capsule.frame(XEN_FRAME.foreign) >>> 2) + (frame - FIRST_FOREIGN_FRAME) * 4 + 2;
  for (const beside of [FIRST_FOREIGN_FRAME - 1, FIRST_FOREIGN_FRAME + NR_FOREIGN_FRAMES]) capsule.u32[references(beside)] = 1; // what lies there is no entry
  for (const frame of [0, FIRST_FOREIGN_FRAME - 1, FIRST_FOREIGN_FRAME + NR_FOREIGN_FRAMES, 0xf_ffff, 2 ** 32, NaN]) assert.equal(foreign.has(frame), false);
});

test('what is held lies in the capsule', () => {
  const [a, b] = pair();
  const { mm } = b.domain;
  const frame = mm.foreign.hold(a.domain, a.guest.mfn(a.free), true);
  const again = new ForeignFrames(mm);
  assert.deepEqual(again.held(), [{ frame, domid: 1, mfn: a.guest.mfn(a.free), references: 1, writers: 1 }]);
  assert.equal(again.hold(a.domain, a.guest.mfn(a.free), false), frame);
});

test('a window that is full maps no more; then nothing is held', () => {
  const [a, b] = pair();
  const { capsule } = b.domain;
  grant(a, 9, a.free, 2);
  const entry = (i: number): number => (capsule.frame(XEN_FRAME.foreign) >>> 2) + i * 4 + 2;
  for (let i = 0; i < NR_FOREIGN_FRAMES; i++) capsule.u32[entry(i)] = 1;
  assert.equal(map(b, b.free, a, 9).status, GNTST.no_device_space);
  for (let i = 0; i < NR_FOREIGN_FRAMES; i++) capsule.u32[entry(i)] = 0;
  assert.deepEqual(audit(a, b), []);
  const { handle, bus } = mapped(b, b.free, a, 9);
  assert.equal(Number(bus >> 12n), FIRST_FOREIGN_FRAME);
  assert.equal(unmap(b, b.free, handle), GNTST.okay);
});

test('the memory hypercalls know other domains, and keep away from them', () => {
  const [a] = pair();
  assert.equal(a.call(do_mmu_update, 0, 0, 0, 2), -EPERM);
  assert.equal(a.call(do_mmu_update, 0, 0, 0, 3), -ESRCH);
  assert.equal(a.call(do_mmu_update, 0, 0, 0, 0x7ff0 | 3 << 16), -EPERM, 'tables of domain 2');
  assert.equal(a.call(do_mmu_update, 0, 0, 0, 0x7ff0 | 4 << 16), -ESRCH);
  assert.equal(a.call(do_update_va_mapping_otherdomain, 0, 0, 0, 2), -EPERM);
});
