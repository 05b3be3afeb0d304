import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EINVAL, ENODEV, EPERM } from '#abi/errno.ts';
import { CPU } from '#machine/cpu-state.ts';
import { CR4_DE, do_get_debugreg, do_set_debugreg, resetDebugregs } from './debug-registers.ts';
import { TrapGuest } from './testing/trap-guest.ts';

function guest(): TrapGuest {
  const g = new TrapGuest();
  resetDebugregs(g.v);
  return g;
}

test('breakpoint addresses read back, as signed numbers; none in Xen’s window', () => {
  const g = guest();
  for (const reg of [0, 1, 2, 3]) {
    assert.equal(g.call(do_set_debugreg, reg, 0xffff_ffff_8100_0000n), 0);
    assert.equal(g.call(do_get_debugreg, reg), -0x7f00_0000);
    assert.equal(g.call(do_set_debugreg, reg, 0xffff_8000_0000_0000n), -EPERM);
    assert.equal(g.call(do_set_debugreg, reg, 0x8000_0000_0000n), -EPERM);
  }
});

test('reserved bits of DR6 and DR7 are as the processor has them', () => {
  const g = guest();
  assert.equal(g.call(do_set_debugreg, 6, 0xfffff), 0);
  assert.equal(g.call(do_get_debugreg, 6), 0xffff_efff);
  assert.equal(g.call(do_set_debugreg, 7, 0xd855), 0);
  assert.equal(g.call(do_get_debugreg, 7), 0x455);
  for (const reg of [6, 7]) assert.equal(g.call(do_set_debugreg, reg, 1n << 32n), -EINVAL);
});

test('DR7.GD is refused, and I/O breakpoints without CR4.DE', () => {
  const g = guest();
  assert.equal(g.call(do_set_debugreg, 7, 0x2000), -EPERM);
  assert.equal(g.call(do_set_debugreg, 7, 0x2_0003), -EPERM);
  g.v.state.cr4 = CR4_DE;
  assert.equal(g.call(do_set_debugreg, 7, 0x2_0003), 0);
  assert.equal(g.v.cpu.field64(CPU.dr + 56), 0x2_0400n);
  assert.equal(g.call(do_get_debugreg, 7), 0x2_0403);
});

test('DR4 and DR5 are DR6 and DR7 until CR4.DE is set', () => {
  const g = guest();
  assert.equal(g.call(do_set_debugreg, 5, 0x1), 0);
  assert.equal(g.call(do_get_debugreg, 7), 0x401);
  assert.equal(g.call(do_get_debugreg, 4), 0xffff_0ff0);
  g.v.state.cr4 = CR4_DE;
  assert.equal(g.call(do_set_debugreg, 4, 0), -ENODEV);
  assert.equal(g.call(do_get_debugreg, 5), -ENODEV);
});

test('there are eight', () => {
  const g = guest();
  for (const reg of [8, -1]) {
    assert.equal(g.call(do_set_debugreg, reg, 0), -ENODEV);
    assert.equal(g.call(do_get_debugreg, reg), -ENODEV);
  }
});
