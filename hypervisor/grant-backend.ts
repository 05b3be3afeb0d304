// Grants to Domain-0's back ends, which are JavaScript: they use a granted page where it lies.

import { GNTST } from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import type { Domain } from './domain.ts';
import { activeFrame, PIN, pinForMapping, pinOf, unpinMapping } from './grant-active.ts';
import { getReadableFrame, getWritableFrame, putReadableFrame, putWritableFrame } from './guest-frame.ts';

const DOMAIN_0 = 0;
const pinFor = (write: boolean): number => (write ? PIN.hostWrite : PIN.hostRead);

/**
 * Pins a grant to Domain-0: access until `unpinGrant`, whatever the guest does.
 * @param ref grant reference
 * @param write false for reading only
 * @returns capsule offset of the page, or a GNTST error (negative). Who writes calls machine.frameWritten
 */
export function pinGrant(domain: Domain, ref: number, write: boolean): number {
  const frame = pinForMapping(domain, ref, { domid: DOMAIN_0, readonly: !write, mapping: true }, pinFor(write));
  if (frame < 0) return frame;
  if (write ? getWritableFrame(domain, frame) : getReadableFrame(domain, frame)) return domain.capsule.frame(frame);
  unpinMapping(domain, ref, pinFor(write), !write);
  return GNTST.general_error;
}

/** Undoes one pinGrant with the same `write`. */
export function unpinGrant(domain: Domain, ref: number, write: boolean): void {
  assert((pinOf(domain.capsule, ref) & (write ? 0xff : 0xff00)) !== 0, 'a grant is unpinned as often as it was pinned');
  const frame = activeFrame(domain.capsule, ref);
  if (write) putWritableFrame(domain, frame);
  else putReadableFrame(domain, frame);
  unpinMapping(domain, ref, pinFor(write), !write);
}
