// Key g: grants that are in use, each with what was granted when it was pinned and what the guest's entry says now.

import { pinnedGrants } from '../grant-active.ts';
import { grantVersion, nrGrantEntries, nrGrantFrames } from '../grant-entry.ts';
import type { DebugTarget, Log } from './debug-keys.ts';

export function dumpGrants({ domains }: DebugTarget, log: Log): void {
  for (const { domain } of domains) {
    const { capsule } = domain;
    log(`Grant table of domain ${domain.domid}: version ${grantVersion(capsule)}, ${nrGrantFrames(capsule)} frames, ${nrGrantEntries(capsule)} entries`);
    const pinned = pinnedGrants(capsule);
    if (pinned.length === 0) log('    no grant is in use');
    else log('    [ref] active: domain, frame, readers/writers; shared: domain, frame, flags');
    for (const { ref, domid, frame, readers, writers, shared } of pinned) {
      log(`    [${String(ref).padStart(3)}] d${domid} 0x${frame.toString(16)} ${readers}/${writers}; d${shared.domid} 0x${shared.frame.toString(16)} 0x${shared.flags.toString(16).padStart(2, '0')}`);
    }
  }
}
