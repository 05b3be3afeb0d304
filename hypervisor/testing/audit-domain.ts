// Checks of a domain from outside, after its guest did its worst: the references on its frames add up, and the pins of its
// grants.

import type { Domain } from '../domain.ts';
import { auditGrants } from './audit-grants.ts';
import { auditMemory } from './audit-memory.ts';
import { heldFrames } from './held-frames.ts';

/** Every broken rule in words; empty when all is well. @param marks as auditGrants has it */
export function auditDomain(domain: Domain, marks = false): string[] { return [...auditMemory(domain, heldFrames(domain)), ...auditGrants(domain, marks)]; }
