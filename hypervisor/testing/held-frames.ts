// References on a domain's frames that are held outside of its tables, as the records say that hold them; for audits.

import { GNTMAP_device_map, GNTMAP_readonly } from '#abi/grant-table.ts';
import type { Domain } from '../domain.ts';
import { fifoFrames } from '../event-fifo-pages.ts';
import { activeOf } from '../grant-active.ts';
import { nrGrantEntries } from '../grant-entry.ts';
import { findMapping, nrHandles } from '../grant-handles.ts';
import { DOMAIN_STATE } from '../layout.ts';

export interface Held { readonly mfn: number; readonly writable: boolean; readonly why: string }

const DOMAIN_0 = 0;

/** By registered areas, as pages of FIFO events, by back ends, by mappings for devices, and by other domains. */
export function heldFrames(domain: Domain): Held[] {
  const { capsule } = domain;
  const all: Held[] = [];
  for (const v of domain.vcpus) {
    if (v.state.vcpu_info !== 0) all.push({ mfn: (v.state.vcpu_info - capsule.frames) >>> 12, writable: true, why: 'vcpu_info' });
  }
  for (const mfn of fifoFrames(domain)) all.push({ mfn, writable: true, why: 'FIFO events' });
  const eoi = capsule.u32[DOMAIN_STATE.physdev >>> 2] as number;
  if (eoi !== 0) all.push({ mfn: eoi, writable: true, why: 'EOI page' });
  for (let ref = 0; ref < nrGrantEntries(capsule); ref++) {
    const { pin, domid, frame: mfn } = activeOf(capsule, ref);
    if (domid !== DOMAIN_0) continue;
    const why = `grant ${ref} to a back end`;
    for (let i = 0; i < (pin & 0xff); i++) all.push({ mfn, writable: true, why });
    for (let i = 0; i < (pin >>> 8 & 0xff); i++) all.push({ mfn, writable: false, why });
  }
  for (const { domid, frame, writable, handle } of deviceMappings(domain)) {
    if (domid === domain.domid) all.push({ mfn: frame, writable, why: `device mapping ${handle}` });
  }
  for (const peer of domain.peers.all()) {
    for (const { domid, mfn, references, writers } of peer.mm.foreign.held()) {
      if (domid !== domain.domid) continue;
      for (let i = 0; i < references; i++) all.push({ mfn, writable: i < writers, why: `domain ${peer.domid}` });
    }
  }
  return all;
}

export interface DeviceMapping { readonly handle: number; readonly domid: number; readonly frame: number; readonly writable: boolean }

/** Mappings for devices that a domain has. */
export function deviceMappings({ capsule }: Domain): DeviceMapping[] {
  const all: DeviceMapping[] = [];
  for (let handle = 0; handle < nrHandles(capsule); handle++) {
    const mapping = findMapping(capsule, handle);
    if (!mapping || (mapping.flags & GNTMAP_device_map) === 0) continue;
    all.push({ handle, domid: mapping.domid, frame: mapping.frame, writable: (mapping.flags & GNTMAP_readonly) === 0 });
  }
  return all;
}
