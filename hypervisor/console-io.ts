// HYPERVISOR_console_io (public/xen.h): a guest's early messages, to the hypervisor's log.
//
// A release build of Xen refuses a DomU here; this is the behaviour of a debug build (CONFIG_VERBOSE_DEBUG), because a
// kernel that dies before its console works has no other voice. Only whole lines are logged and only their printable
// characters: the unfinished line waits in the capsule.

import { EFAULT, ENOSYS, EPERM } from '#abi/errno.ts';
import { CONSOLEIO_read, CONSOLEIO_write } from '#abi/console-io.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import type { Domain } from './domain.ts';
import { copyFromGuest } from './guest-access.ts';
import { CONTINUE, type Hypercall } from './hypercall.ts';
import { DOMAIN_STATE } from './layout.ts';
import { add, result as address } from './words.ts';

const LINE_MAX = 500;
const console_line = struct('console_line', 504, { length: 'u32', text: ['u8', LINE_MAX] });
const LENGTH = (DOMAIN_STATE.console + console_line.offset.length) >>> 2;
const TEXT = DOMAIN_STATE.console + console_line.offset.text;

const page = new Uint8Array(PAGE_SIZE);

/** (cmd, count, buffer): 0 or a negated errno. One page at a time. */
export const do_console_io: Hypercall = (v, a) => {
  if (a.lo(0) === CONSOLEIO_read) return -EPERM;
  if (a.lo(0) !== CONSOLEIO_write) return -ENOSYS;
  const left = a.lo(1);
  if (left === 0) return 0;
  const n = Math.min(left, PAGE_SIZE - (a.lo(2) & (PAGE_SIZE - 1)));
  if (!copyFromGuest(v, a.lo(2), a.hi(2), page, 0, n)) return -EFAULT;
  for (let i = 0; i < n; i++) put(v.domain, page[i] as number);
  if (n === left) return 0;
  add(a.lo(2), a.hi(2), n);
  a.set(1, left - n, 0);
  a.set(2, address.lo, address.hi);
  return CONTINUE;
};

const NEWLINE = 10, TAB = 9;

function put(domain: Domain, char: number): void {
  const { u8, u32 } = domain.capsule;
  let length = u32[LENGTH] as number;
  if (char === TAB || (char >= 0x20 && char < 0x7f)) u8[TEXT + length++] = char;
  if (char === NEWLINE || length === LINE_MAX) {
    domain.host.log('info', `d${domain.domid}: ${String.fromCharCode(...u8.subarray(TEXT, TEXT + length))}`);
    length = 0;
  }
  u32[LENGTH] = length;
}
