// Commands of memory_op that are for toolstacks, or for domains of another kind: a PV DomU gets an error, which depends
// on what Xen looks at first. Measured on Xen 4.17 (tests/guests/src/answers.c); structures as in public/memory.h.

import { EACCES, EFAULT, EINVAL, EOPNOTSUPP, EPERM, ESRCH } from '#abi/errno.ts';
import { XENMEM } from '#abi/memory.ts';
import { checkTarget } from '../domid.ts';
import { GuestBytes } from '../guest-struct.ts';
import type { Vcpu } from '../vcpu.ts';

interface Refused {
  readonly arg: GuestBytes;
  /** what is wrong with the argument whoever it is about; 0: nothing */
  readonly check?: (arg: GuestBytes) => number;
  /** offset of the domain's number */
  readonly domid: number;
  /** for a domain that exists, the caller or Domain-0 */
  readonly answer: number;
  /** for the caller itself, where that is another answer */
  readonly self?: number;
}

const must0 = (...fields: readonly number[]) => (arg: GuestBytes): number => (fields.every((at) => arg.u32(at) === 0) ? 0 : -EINVAL);
const pod: Refused = { arg: new GuestBytes(40), domid: 32, answer: -EINVAL };

const COMMANDS: ReadonlyMap<number, Refused> = new Map<number, Refused>([
  [XENMEM.add_to_physmap, { arg: new GuestBytes(24), domid: 0, answer: -EACCES }],
  [XENMEM.remove_from_physmap, { arg: new GuestBytes(16), domid: 0, answer: -EACCES }],
  [XENMEM.set_pod_target, pod],
  [XENMEM.get_pod_target, pod],
  [XENMEM.access_op, { arg: new GuestBytes(32), domid: 2, answer: -EINVAL }],
  [XENMEM.add_to_physmap_batch, { arg: new GuestBytes(32), domid: 0, answer: -EACCES }],
  [XENMEM.claim_pages, { arg: new GuestBytes(32), check: must0(0, 4, 16, 20), domid: 24, answer: -EPERM }],
  [XENMEM.get_vnumainfo, { arg: new GuestBytes(40), check: (arg) => (arg.u16(2) === 0 ? 0 : -EINVAL), domid: 0, answer: -EPERM, self: -EOPNOTSUPP }],
  [XENMEM.acquire_resource, { arg: new GuestBytes(32), check: must0(12), domid: 0, answer: -EPERM, self: -ESRCH }],
]);

/** @returns a negated errno, or undefined for a command that is not one of these */
export function refusedMemoryOp(v: Vcpu, cmd: number, vaLo: number, vaHi: number): number | undefined {
  const command = COMMANDS.get(cmd);
  if (command === undefined) return undefined;
  const { arg, check, domid, answer, self } = command;
  if (!arg.read(v, vaLo, vaHi)) return -EFAULT;
  const bad = check?.(arg) ?? 0;
  if (bad !== 0) return bad;
  const target = checkTarget(v.domain, arg.u16(domid));
  return target === -ESRCH ? target : target === 0 ? self ?? answer : answer;
}
