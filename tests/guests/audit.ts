// Checks of a domain from outside, after its guest did its worst: the references on its frames add up, and the pins of its
// grants.

import type { Domain } from '#hypervisor/domain.ts';
import { auditGrants } from '#hypervisor/testing/audit-grants.ts';
import { auditMemory } from '#hypervisor/testing/audit-memory.ts';
import { heldFrames } from '#hypervisor/testing/held-frames.ts';

/** Every broken rule in words; empty when all is well. */
export function auditDomain(domain: Domain): string[] { return [...auditMemory(domain, heldFrames(domain)), ...auditGrants(domain, false)]; }
