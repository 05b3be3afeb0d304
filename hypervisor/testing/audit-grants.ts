// Counts the pins of every grant of a domain from the mappings of all domains, and compares with the active entries and with
// the marks that the guest sees.

import { GNTMAP_device_map, GNTMAP_host_map, GNTMAP_readonly, GTF_accept_transfer, GTF_reading, GTF_type_mask, GTF_writing } from '#abi/grant-table.ts';
import type { Domain } from '../domain.ts';
import { activeOf, isWritten, PIN, pinOf } from '../grant-active.ts';
import { markedFlags, nrGrantEntries, readHeader } from '../grant-entry.ts';
import { findMapping, nrHandles } from '../grant-handles.ts';

const DOMAIN_0 = 0;

/**
 * Every broken rule, in words. No copy may be under way.
 * @param marks false when the guest may have written to its marks itself
 */
export function auditGrants(domain: Domain, marks: boolean): string[] {
  const { capsule: c } = domain;
  const pins = new Map<number, number>();
  for (const { capsule } of [domain, ...domain.peers.all().filter((p) => p.domid !== domain.domid)]) {
    for (let handle = 0; handle < nrHandles(capsule); handle++) {
      const mapping = findMapping(capsule, handle);
      if (mapping?.domid !== domain.domid) continue;
      const readonly = (mapping.flags & GNTMAP_readonly) !== 0;
      const host = mapping.flags & GNTMAP_host_map ? (readonly ? PIN.hostRead : PIN.hostWrite) : 0;
      const device = mapping.flags & GNTMAP_device_map ? (readonly ? PIN.deviceRead : PIN.deviceWrite) : 0;
      pins.set(mapping.ref, (pins.get(mapping.ref) ?? 0) + host + device);
    }
  }
  const wrong: string[] = [];
  for (let ref = 0; ref < nrGrantEntries(c); ref++) {
    const pin = pinOf(c, ref);
    const found = pins.get(ref) ?? 0;
    if (pin !== found && !(pin !== 0 && activeOf(c, ref).domid === DOMAIN_0)) wrong.push(`grant ${ref}: pins 0x${pin.toString(16)}, found 0x${found.toString(16)}`);
    const shown = markedFlags(c, ref) & (GTF_reading | GTF_writing);
    const due = (pin !== 0 ? GTF_reading : 0) | (isWritten(pin) ? GTF_writing : 0);
    const isTransfer = (readHeader(c, ref) & GTF_type_mask) === GTF_accept_transfer; // its flags are others
    if (marks && !isTransfer && shown !== due) wrong.push(`grant ${ref}: marks 0x${shown.toString(16)}, pins 0x${pin.toString(16)}`);
  }
  return wrong;
}
