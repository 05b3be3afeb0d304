import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EFAULT, EINVAL, ENOSYS } from '#abi/errno.ts';
import { CALLBACKF_mask_events, CALLBACKOP_register, CALLBACKOP_unregister, TI_IF, trap_info, VGCF_failsafe_disables_events, VGCF_syscall_disables_events } from '#abi/xen.ts';
import { do_callback_op, do_nmi_op, do_set_callbacks, do_set_trap_table, do_stack_switch } from './callbacks.ts';
import { TrapGuest } from './testing/trap-guest.ts';

const BAD = 0x8000_0000_0000n, GOOD = 0xffff_ffff_8123_4560n;

function writeTraps(g: TrapGuest, entries: readonly (readonly [vector: number, flags: number, cs: number, address: bigint])[]): bigint {
  const list = g.va(g.free);
  entries.forEach(([vector, flags, cs, address], i) => {
    g.setWord(list + BigInt(i * 16), BigInt(vector | (flags << 8)) | (BigInt(cs) << 16n));
    g.setWord(list + BigInt(i * 16 + 8), address);
  });
  return list;
}
const entry = (g: TrapGuest, vector: number): bigint => g.fake.capsule.dv.getBigUint64(g.v.trapTable + vector * trap_info.size + trap_info.offset.address, true);

describe('set_trap_table', () => {
  test('takes entries up to the one with address 0', () => {
    const g = new TrapGuest();
    const list = writeTraps(g, [[14, TI_IF, 0xe030, GOOD], [0x80, 3, 0xe033, GOOD + 1n], [3, 0, 0, 0n], [4, 0, 0, GOOD]]);
    const four = entry(g, 4);
    assert.equal(g.call(do_set_trap_table, list), 0);
    assert.deepEqual([entry(g, 14), entry(g, 0x80), entry(g, 4)], [GOOD, GOOD + 1n, four]);
    assert.equal(g.fake.capsule.u8[g.v.trapTable + 14 * 16 + 1], TI_IF);
    assert.equal(g.fake.capsule.dv.getUint16(g.v.trapTable + 14 * 16 + 2, true), 0xe033);
  });
  test('clears the table for a null pointer', () => {
    const g = new TrapGuest();
    assert.equal(g.call(do_set_trap_table, 0), 0);
    assert.equal(entry(g, 14), 0n);
  });
  test('stops at an address that is not canonical; those before it are set', () => {
    const g = new TrapGuest();
    assert.equal(g.call(do_set_trap_table, writeTraps(g, [[1, 0, 0, GOOD], [2, 0, 0, BAD]])), -EINVAL);
    assert.equal(entry(g, 1), GOOD);
  });
  test('is -EFAULT for a list that cannot be read', () => assert.equal(new TrapGuest().call(do_set_trap_table, 0x1000), -EFAULT));
});

describe('callbacks', () => {
  const register = (g: TrapGuest, type: number, flags: number, address: bigint): number => {
    g.setWord(g.va(g.free), BigInt(type | (flags << 16)));
    g.setWord(g.va(g.free) + 8n, address);
    return g.call(do_callback_op, CALLBACKOP_register, g.va(g.free));
  };
  test('are registered by type, with their mask flag', () => {
    const g = new TrapGuest();
    const { state } = g.v;
    for (const type of [0, 1, 2, 5, 7]) assert.equal(register(g, type, CALLBACKF_mask_events, GOOD + BigInt(type)), 0);
    assert.deepEqual(
      [state.event_callback_eip, state.failsafe_callback_eip, state.syscall_callback_eip, state.sysenter_callback_eip, state.syscall32_callback_eip],
      [GOOD, GOOD + 1n, GOOD + 2n, GOOD + 5n, GOOD + 7n]);
    assert.equal(state.vgc_flags, VGCF_failsafe_disables_events | VGCF_syscall_disables_events);
    assert.deepEqual([state.sysenter_disables_events, state.syscall32_disables_events], [1, 1]);
    register(g, 2, 0, GOOD);
    assert.equal(state.vgc_flags, VGCF_failsafe_disables_events);
  });
  test('need a canonical address and a type that exists', () => {
    const g = new TrapGuest();
    assert.equal(register(g, 0, 0, BAD), -EINVAL);
    assert.equal(register(g, 6, 0, GOOD), -ENOSYS);
    assert.equal(g.call(do_callback_op, CALLBACKOP_register, 0x1000), -EFAULT);
    assert.equal(g.call(do_callback_op, 2, g.va(g.free)), -ENOSYS);
  });
  test('only the NMI’s can be unregistered', () => {
    const g = new TrapGuest();
    const results = [0, 1, 2, 5, 7, 4, 6].map((type) => {
      g.setWord(g.va(g.free), BigInt(type));
      return g.call(do_callback_op, CALLBACKOP_unregister, g.va(g.free));
    });
    assert.deepEqual(results, [-EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0, -ENOSYS]);
    assert.equal(entry(g, 2), 0n);
  });
  test('set_callbacks passes over addresses that are not canonical', () => {
    const g = new TrapGuest();
    const before = g.v.state.failsafe_callback_eip;
    assert.equal(g.call(do_set_callbacks, GOOD, BAD, GOOD + 2n), 0);
    assert.deepEqual([g.v.state.event_callback_eip, g.v.state.failsafe_callback_eip, g.v.state.syscall_callback_eip], [GOOD, before, GOOD + 2n]);
  });
});

test('nmi_op sets and clears trap 2, masking events', () => {
  const g = new TrapGuest();
  g.setWord(g.va(g.free), GOOD);
  assert.equal(g.call(do_nmi_op, 0, g.va(g.free)), 0);
  assert.equal(entry(g, 2), GOOD);
  assert.equal(g.fake.capsule.u8[g.v.trapTable + 2 * 16 + 1], TI_IF);
  assert.equal(g.call(do_nmi_op, 1, 0), 0);
  assert.equal(entry(g, 2), 0n);
  assert.equal(g.call(do_nmi_op, 2, 0), -ENOSYS);
  assert.equal(g.call(do_nmi_op, 0, 0x1000), -EFAULT);
});

test('stack_switch keeps ss and sp, with RPL 3', () => {
  const g = new TrapGuest();
  assert.equal(g.call(do_stack_switch, 0xe028, GOOD), 0);
  assert.deepEqual([g.v.state.kernel_ss, g.v.state.kernel_sp], [0xe02bn, GOOD]);
});
