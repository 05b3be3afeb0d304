// Checks of a domain from outside, after its guest did its worst: the references on its frames add up, and Xen's own
// frames are what they were.

import type { Domain } from '#hypervisor/domain.ts';
import { DOMAIN_STATE } from '#hypervisor/layout.ts';
import { auditMemory, type Held } from '#hypervisor/testing/audit-memory.ts';

const GRANTS = 16384, GRANT_SIZE = 8;

/** Every broken rule in words; empty when all is well. */
export function auditDomain(domain: Domain): string[] { return auditMemory(domain, held(domain)); }

/** References that records outside of the tables say are held: registered areas, pinned grants, the EOI page. */
function held(domain: Domain): Held[] {
  const { capsule } = domain;
  const all: Held[] = [];
  for (const v of domain.vcpus) {
    if (v.state.vcpu_info !== 0) all.push({ mfn: (v.state.vcpu_info - capsule.frames) >>> 12, writable: true, why: 'vcpu_info' });
  }
  const eoi = capsule.u32[DOMAIN_STATE.physdev >>> 2] as number;
  if (eoi !== 0) all.push({ mfn: eoi, writable: true, why: 'EOI page' });
  for (let ref = 0; ref < GRANTS; ref++) {
    const at = DOMAIN_STATE.grants + ref * GRANT_SIZE;
    const mfn = capsule.u32[(at + 4) >>> 2] as number;
    for (let i = 0; i < (capsule.u8[at + 2] as number); i++) all.push({ mfn, writable: false, why: `reader of grant ${ref}` });
    for (let i = 0; i < (capsule.u8[at + 3] as number); i++) all.push({ mfn, writable: true, why: `writer of grant ${ref}` });
  }
  return all;
}
