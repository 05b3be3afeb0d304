import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EINVAL } from '#abi/errno.ts';
import { FLAT_RING3_CS64, FLAT_RING3_DS32, SEGBASE_FS, SEGBASE_GS_KERNEL, SEGBASE_GS_USER, SEGBASE_GS_USER_SEL } from '#abi/xen.ts';
import { SEG } from '#machine/cpu-state.ts';
import { setGdt } from './mm/gdt.ts';
import { do_set_segment_base } from './segment-base.ts';
import { TrapGuest } from './testing/trap-guest.ts';

test('bases of FS, of the kernel’s GS and of the user’s', () => {
  const g = new TrapGuest();
  assert.equal(g.call(do_set_segment_base, SEGBASE_FS, 0x7000_0001_0000n), 0);
  assert.equal(g.call(do_set_segment_base, SEGBASE_GS_KERNEL, 0xffff_8880_0001_0000n), 0);
  assert.equal(g.call(do_set_segment_base, SEGBASE_GS_USER, 0x6000_0000_0000n), 0);
  assert.deepEqual([g.v.cpu.segBase(SEG.fs), g.v.cpu.segBase(SEG.gs), g.v.state.gs_base_user], [0x7000_0001_0000n, 0xffff_8880_0001_0000n, 0x6000_0000_0000n]);
  g.enterUser();
  assert.equal(g.v.cpu.segBase(SEG.gs), 0x6000_0000_0000n);
});

test('a base must be canonical, the register must exist', () => {
  const g = new TrapGuest();
  assert.equal(g.call(do_set_segment_base, SEGBASE_FS, 0x8000_0000_0000n), -EINVAL);
  assert.equal(g.call(do_set_segment_base, 4, 0), -EINVAL);
});

test('the user’s GS from a descriptor: its base; null and bad selectors: null and 0', () => {
  const g = new TrapGuest();
  const gdt = g.free;
  g.poke(g.l1, gdt, g.pte(gdt, 0x65)); // a descriptor page is never writable
  g.poke(gdt, 2, 0x12cf_f334_5678_ffffn); // data, level 3, base 0x12345678
  g.mm.frames.setType(g.mfn(gdt), 0);
  assert.equal(setGdt(g.v, [g.mfn(gdt)], 512), 0);
  const load = (selector: number): [number, bigint] => {
    g.v.state.gs_base_user = 5n;
    assert.equal(g.call(do_set_segment_base, SEGBASE_GS_USER_SEL, selector), 0);
    return [g.v.cpu.selector(SEG.gs), g.v.state.gs_base_user];
  };
  assert.deepEqual(load(0x10), [0x13, 0x1234_5678n]);
  assert.deepEqual(load(FLAT_RING3_DS32), [FLAT_RING3_DS32, 0n]);
  assert.deepEqual(load(FLAT_RING3_CS64), [FLAT_RING3_CS64, 0n]);
  assert.deepEqual(load(0), [0, 0n]);
  assert.deepEqual(load(0xfff8), [0, 0n]);
  assert.deepEqual(load(0x18), [0, 0n]);
});
