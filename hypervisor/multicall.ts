// multicall: a list of hypercalls in one. The result of each goes into its entry; the list stops where an entry cannot
// be read or written (-EFAULT), and a multicall in the list gets -EINVAL. After CHUNK calls, or much work, the rest is
// left to a continuation: the guest comes back with what remains, so that no list holds the processor for long.
// Facts: public/xen.h, struct multicall_entry.

import { EFAULT, EINVAL, ENOSYS } from '#abi/errno.ts';
import { HYPERVISOR, multicall_entry } from '#abi/xen.ts';
import { copyFromGuest, copyToGuest, guestRangeOk } from './guest-access.ts';
import { CONTINUE, type Hypercall, HypercallArgs, NO_RETURN } from './hypercall.ts';
import { WORK_LIMIT } from './mm/mm.ts';
import type { Vcpu } from './vcpu.ts';
import { add, result } from './words.ts';

const CHUNK = 256;
const SIZE = multicall_entry.size;
const RESULT = multicall_entry.offset.result;
const ARGS = multicall_entry.offset.args >>> 2;

const bytes = new Uint8Array(SIZE);
const words = new Uint32Array(bytes.buffer);
const args = new HypercallArgs();

/** Calls one hypercall by number: hypercall-table.ts, which also knows this one. */
export type Dispatch = (v: Vcpu, number: number, a: HypercallArgs) => number;

/** multicall(call_list, nr_calls): 0, or -EFAULT. */
export function multicall(dispatch: Dispatch): Hypercall {
  return (v, a) => {
    let lo = a.lo(0);
    let hi = a.hi(0);
    const count = a.lo(1);
    if (!listOk(lo, hi, count)) return -EFAULT;
    const { mm } = v.domain;
    const enough = mm.work + WORK_LIMIT;
    for (let i = 0; i < count; i++) {
      if (v.domain.isShutDown) return 0;
      if (i === CHUNK || mm.work >= enough) return continueWith(a, lo, hi, count - i);
      if (!copyFromGuest(v, lo, hi, bytes, 0, SIZE)) return -EFAULT;
      const value = callEntry(v, dispatch);
      if (value === NO_RETURN) return NO_RETURN;
      if (value === CONTINUE) return storeArguments(v, lo, hi) ? continueWith(a, lo, hi, count - i) : -EFAULT;
      words[0] = value >>> 0;
      words[1] = Math.floor(value / 0x1_0000_0000) >>> 0;
      add(lo, hi, RESULT);
      if (!copyToGuest(v, result.lo, result.hi, bytes, 0, 8)) return -EFAULT;
      add(lo, hi, SIZE);
      lo = result.lo;
      hi = result.hi;
    }
    return 0;
  };
}

function listOk(lo: number, hi: number, count: number): boolean {
  const length = count * SIZE;
  const carry = Math.floor((lo + length) / 0x1_0000_0000);
  return guestRangeOk(lo, hi, Math.min(length, 4096)) && hi + carry <= 0xffff_ffff && (hi >= 0x8000 || hi + carry <= 0x8000);
}

function callEntry(v: Vcpu, dispatch: Dispatch): number {
  const number = words[0] as number;
  if (words[1] !== 0) return -ENOSYS;
  if (number === HYPERVISOR.multicall) return -EINVAL;
  for (let i = 0; i < 6; i++) args.set(i, words[ARGS + i * 2] as number, words[ARGS + i * 2 + 1] as number);
  return dispatch(v, number, args);
}

/** What is left of a call that did a part of its work goes back into its entry, which the continuation begins with. */
function storeArguments(v: Vcpu, lo: number, hi: number): boolean {
  for (let i = 0; i < 6; i++) {
    words[ARGS + i * 2] = args.lo(i);
    words[ARGS + i * 2 + 1] = args.hi(i);
  }
  return copyToGuest(v, lo, hi, bytes, 0, SIZE);
}

/** Leaves the rest of the list to a continuation. */
function continueWith(a: HypercallArgs, lo: number, hi: number, left: number): number {
  a.set(0, lo, hi);
  a.set(1, left, 0);
  return CONTINUE;
}
