import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONSOLEIO_read, CONSOLEIO_write } from '#abi/console-io.ts';
import { EACCES, EBUSY, EFAULT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '#abi/errno.ts';
import { HVMOP, xen_hvm_get_time, xen_hvm_param } from '#abi/hvm-op.ts';
import {
  PHYSDEVOP, physdev_apic, physdev_eoi, physdev_get_free_pirq, physdev_irq_status_query, physdev_map_pirq, physdev_pirq_eoi_gmfn,
  physdev_set_iobitmap, physdev_set_iopl,
} from '#abi/physdev.ts';
import { XENVER, xen_compile_info, xen_feature_info, xen_platform_parameters } from '#abi/version.ts';
import { do_console_io } from './console-io.ts';
import { do_hvm_op } from './hvm-op.ts';
import { do_physdev_op } from './physdev.ts';
import { DomU, SELF, UNMAPPED } from './testing/domu.ts';
import { do_platform_op, do_xenpmu_op } from './unprivileged.ts';
import { do_xen_version, FEATURES, guestHandle, setGuestHandle } from './version.ts';

const text = (u: DomU, pfn: number): string => {
  const at = u.fake.capsule.frame(u.guest.mfn(pfn));
  const bytes = u.fake.capsule.u8.slice(at, at + 1024);
  return String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)));
};

test('xen_version: numbers and strings', () => {
  const u = new DomU();
  const ask = (cmd: number): string => {
    u.guest.words(u.free).fill(0xffff_ffff);
    assert.equal(u.call(do_xen_version, cmd, u.guest.va(u.free)), 0);
    return text(u, u.free);
  };
  assert.equal(u.call(do_xen_version, XENVER.version, 0), 0x0004_0011);
  assert.equal(ask(XENVER.capabilities), 'xen-3.0-x86_64 ');
  assert.equal(ask(XENVER.extraversion), '-xenith');
  assert.equal(ask(XENVER.commandline), '<denied>');
  assert.ok(ask(XENVER.changeset).length > 0);
  assert.equal(u.op(do_xen_version, XENVER.compile_info, xen_compile_info, {}).rc, 0);
  assert.equal(u.op(do_xen_version, XENVER.platform_parameters, xen_platform_parameters, {}).out.virt_start, 0xffff_8000_0000_0000n);
  assert.equal(u.call(do_xen_version, XENVER.pagesize, 0), 4096);
  assert.equal(u.call(do_xen_version, XENVER.pagesize, 8), -EINVAL);
  assert.equal(u.call(do_xen_version, XENVER.build_id, 0), -EPERM);
  assert.equal(u.call(do_xen_version, 11, 0), -ENOSYS);
  for (const cmd of [1, 2, 3, 4, 5, 6, 8, 9]) assert.equal(u.call(do_xen_version, cmd, UNMAPPED), -EFAULT);
});

test('the features are those that Xen 4.17 reports to a PV DomU', () => {
  const u = new DomU();
  assert.equal(FEATURES, 0x220f0);
  assert.equal(u.op(do_xen_version, XENVER.get_features, xen_feature_info, { submap_idx: 0 }).out.submap, 0x220f0);
  assert.equal(u.op(do_xen_version, XENVER.get_features, xen_feature_info, { submap_idx: 1 }).rc, -EINVAL);
});

test('the guest can read its UUID', () => {
  const u = new DomU();
  const uuid = Uint8Array.from({ length: 16 }, (_, i) => i * 3);
  setGuestHandle(u.domain.capsule, uuid);
  assert.deepEqual(guestHandle(u.domain), uuid);
  assert.equal(u.call(do_xen_version, XENVER.guest_handle, u.guest.va(u.free)), 0);
  assert.deepEqual(new Uint8Array(u.fake.capsule.buffer, u.fake.capsule.frame(u.guest.mfn(u.free)), 16), uuid);
});

test('console_io logs whole lines of printable characters', () => {
  const u = new DomU();
  const at = u.fake.capsule.frame(u.guest.mfn(u.free));
  const write = (s: string, from = 0): number => {
    for (let i = 0; i < s.length; i++) u.fake.capsule.u8[at + from + i] = s.charCodeAt(i);
    return u.call(do_console_io, CONSOLEIO_write, s.length, u.guest.va(u.free) + BigInt(from));
  };
  assert.equal(write('Linux ver'), 0);
  assert.deepEqual(u.fake.host.lines, []);
  assert.equal(write('sion\x1b[0m\r\nnext\n', 4090), 0, 'across pages too');
  assert.deepEqual(u.fake.host.lines, ['info: d1: Linux version[0m', 'info: d1: next']);
  write('x'.repeat(501));
  assert.equal(u.fake.host.lines.length, 3, 'a line that never ends is broken');
  assert.equal(u.call(do_console_io, CONSOLEIO_write, 5, UNMAPPED), -EFAULT);
  assert.equal(u.call(do_console_io, CONSOLEIO_write, 0, UNMAPPED), 0);
  assert.equal(u.call(do_console_io, CONSOLEIO_read, 5, u.guest.va(u.free)), -EPERM);
  assert.equal(u.call(do_console_io, 2, 5, u.guest.va(u.free)), -ENOSYS);
});

test('physdev_op: virtual IOPL and I/O bitmap', () => {
  const u = new DomU();
  const iopl = (iopl: number): number => u.op(do_physdev_op, PHYSDEVOP.set_iopl, physdev_set_iopl, { iopl }).rc;
  assert.equal(iopl(1), 0);
  assert.equal(u.v.state.iopl, 0x1000);
  assert.equal(iopl(4), -EINVAL);
  const bitmap = (bitmap: bigint, nr_ports: number): number => u.op(do_physdev_op, PHYSDEVOP.set_iobitmap, physdev_set_iobitmap, { bitmap, nr_ports }).rc;
  assert.equal(bitmap(u.guest.va(u.free), 65536), 0);
  assert.equal(u.v.state.iobmp, u.guest.va(u.free));
  assert.equal(u.v.state.iobmp_limit, 65536);
  assert.equal(bitmap(u.guest.va(u.free), 65537), -EINVAL);
  assert.equal(bitmap(0xffff_8000_0000_0000n, 10), -EINVAL);
});

test('physdev_op: the EOI page once, in a frame that may be written', () => {
  const u = new DomU();
  const set = (gmfn: bigint): number => u.op(do_physdev_op, PHYSDEVOP.pirq_eoi_gmfn_v2, physdev_pirq_eoi_gmfn, { gmfn }).rc;
  assert.equal(set(BigInt(u.guest.mfn(u.guest.l1))), -EINVAL);
  assert.equal(set(1n << 45n), -EINVAL);
  assert.equal(set(BigInt(u.guest.mfn(u.free))), 0);
  assert.equal(set(BigInt(u.guest.mfn(u.free + 1))), -EBUSY);
});

test('physdev_op: no devices', () => {
  const u = new DomU();
  assert.equal(u.op(do_physdev_op, PHYSDEVOP.eoi, physdev_eoi, { irq: 1 }).rc, -EINVAL);
  assert.equal(u.op(do_physdev_op, PHYSDEVOP.irq_status_query, physdev_irq_status_query, { irq: 1 }).out.flags, 1);
  assert.equal(u.op(do_physdev_op, PHYSDEVOP.irq_status_query, physdev_irq_status_query, { irq: 1000 }).rc, -EINVAL);
  assert.equal(u.op(do_physdev_op, PHYSDEVOP.map_pirq, physdev_map_pirq, { domid: SELF }).rc, -EPERM);
  assert.equal(u.op(do_physdev_op, PHYSDEVOP.map_pirq, physdev_map_pirq, { domid: 9 }).rc, -ESRCH);
  assert.equal(u.op(do_physdev_op, PHYSDEVOP.apic_read, physdev_apic, {}).rc, -EPERM);
  assert.equal(u.op(do_physdev_op, PHYSDEVOP.get_free_pirq, physdev_get_free_pirq, {}).out.pirq, 55);
  assert.equal(u.call(do_physdev_op, PHYSDEVOP.pci_device_add, UNMAPPED), -EFAULT);
  assert.equal(u.call(do_physdev_op, PHYSDEVOP.pci_device_add, u.guest.va(u.free)), -EPERM);
  assert.equal(u.call(do_physdev_op, PHYSDEVOP.set_iopl, UNMAPPED), -EFAULT);
  assert.equal(u.call(do_physdev_op, 22, 0), -ENOSYS);
});

test('hvm_op: no HVM domains, but the time for all', () => {
  const u = new DomU();
  u.retire(u.v, 777);
  assert.equal(u.op(do_hvm_op, HVMOP.get_time, xen_hvm_get_time, {}).out.now, 777n);
  assert.equal(u.op(do_hvm_op, HVMOP.get_param, xen_hvm_param, { domid: SELF }).rc, -EINVAL);
  assert.equal(u.op(do_hvm_op, HVMOP.set_param, xen_hvm_param, { domid: 9 }).rc, -ESRCH);
  assert.equal(u.call(do_hvm_op, HVMOP.get_param, UNMAPPED), -EFAULT);
  assert.equal(u.call(do_hvm_op, 7, 0), -ENOSYS);
});

test('what is for Domain-0 is refused once the interface version is right, the PMU is off', () => {
  const u = new DomU();
  u.guest.poke(u.guest.free, 0, 0x0300_0001n << 32n);
  assert.equal(u.call(do_platform_op, u.guest.va(u.guest.free)), -EPERM);
  u.guest.poke(u.guest.free, 0, 0n);
  assert.equal(u.call(do_platform_op, u.guest.va(u.guest.free)), -EACCES);
  assert.equal(u.call(do_platform_op, UNMAPPED), -EFAULT);
  assert.equal(u.call(do_xenpmu_op, 0), -EOPNOTSUPP);
});
