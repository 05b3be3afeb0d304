// How a DomU is refused what is the toolstack's, for each command. What Xen 4.17 answers is written here once more, by command, and
// not taken from the code under test.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { XEN_DOMCTL, xen_domctl } from '#abi/domctl.ts';
import { EACCES, EFAULT, EPERM, ESRCH } from '#abi/errno.ts';
import { XEN_SYSCTL, xen_sysctl } from '#abi/sysctl.ts';
import { DOMID_INVALID, DOMID_IO, DOMID_SELF } from '#abi/xen.ts';
import { DomainRegistry } from './domain-registry.ts';
import { do_domctl, do_sysctl } from './domctl.ts';
import { DomU, UNMAPPED } from './testing/domu.ts';

const NOBODY = 77;
/** Numbers that name no domain that a DomU sees, and for which a command is refused with -EPERM all the same. */
const NO_SEARCH: Readonly<Record<string, readonly number[]>> = {
  createdomain: [NOBODY, DOMID_SELF, DOMID_INVALID, DOMID_IO], getdomaininfo: [NOBODY, DOMID_SELF, DOMID_INVALID, DOMID_IO], gdbsx_guestmemio: [NOBODY, DOMID_SELF, DOMID_INVALID, DOMID_IO],
  test_assign_device: [DOMID_INVALID], vm_event_op: [DOMID_INVALID], assign_device: [DOMID_IO], deassign_device: [DOMID_IO],
};

describe('domctl', () => {
  const commands: [string, number][] = [...Object.entries(XEN_DOMCTL), ['one that does not exist', 999]];
  for (const [name, cmd] of commands) {
    test(name, () => {
      const peers = new DomainRegistry();
      const u = new DomU(1, { deterministic: true }, 1, peers);
      const other = new DomU(1, { deterministic: true }, 5, peers);
      const ask = (domain: number, interface_version = 0x15): number => {
        const { va, view } = u.put(xen_domctl, { cmd, interface_version, domain });
        const before = Buffer.from(u.fake.capsule.u8.slice(view.base, view.base + xen_domctl.size));
        const rc = u.call(do_domctl, va);
        assert.deepEqual(Buffer.from(u.fake.capsule.u8.slice(view.base, view.base + xen_domctl.size)), before, 'nothing is written');
        return rc;
      };
      for (const domid of [u.domain.domid, 0, other.domain.domid]) assert.equal(ask(domid), -EPERM, `domain ${domid}`);
      for (const domid of [NOBODY, DOMID_SELF, DOMID_INVALID, DOMID_IO]) assert.equal(ask(domid), NO_SEARCH[name]?.includes(domid) ? -EPERM : -ESRCH, `domain ${domid}`);
      for (const version of [0, 0x14, 0x16, 0xffff_ffff]) assert.equal(ask(NOBODY, version), -EACCES, 'the version comes before the domain');
      assert.equal(u.call(do_domctl, UNMAPPED), -EFAULT);
      assert.ok(!u.domain.isShutDown && u.v.runnable);
    });
  }
});

describe('sysctl', () => {
  const commands: [string, number][] = [...Object.entries(XEN_SYSCTL), ['one that does not exist', 999]];
  for (const [name, cmd] of commands) {
    test(name, () => {
      const u = new DomU();
      const ask = (interface_version: number): number => u.call(do_sysctl, u.put(xen_sysctl, { cmd, interface_version }).va);
      assert.equal(ask(0x15), -EPERM);
      for (const version of [0, 0x14, 0x16]) assert.equal(ask(version), -EACCES);
      assert.equal(u.call(do_sysctl, UNMAPPED), -EFAULT);
    });
  }
});

test('the argument has to be there to its end', () => {
  const u = new DomU();
  const last = u.guest.va(63) + 4096n; // behind the last page nothing is mapped
  assert.equal(u.call(do_domctl, last - 143n), -EFAULT);
  assert.equal(u.call(do_domctl, last - 144n), -EACCES);
  assert.equal(u.call(do_sysctl, last - 135n), -EFAULT);
  assert.equal(u.call(do_sysctl, last - 136n), -EACCES);
});
