// GNTTABOP_set_version: the form of the entries. The table must not be in use but for the reserved entries, which the
// toolstack made and keeps mapped: those are carried over, all others are gone.

import { EBUSY, EFAULT, EINVAL, ERANGE } from '#abi/errno.ts';
import { GNTTAB_NR_RESERVED_ENTRIES, gnttab_set_version, GTF_permit_access, GTF_reading, GTF_transitive, GTF_type_mask, GTF_writing } from '#abi/grant-table.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from './domain.ts';
import { pinOf } from './grant-active.ts';
import { grantVersion, headerWord, markedFlags, nrGrantEntries, nrGrantFrames, readFrame, readHeader, setMarks, switchVersion, withGrants, writeFrame } from './grant-entry.ts';
import { GuestStruct } from './guest-struct.ts';
import { XEN_FRAME } from './layout.ts';
import type { Vcpu } from './vcpu.ts';

const arg = new GuestStruct(gnttab_set_version);

/** set_version(arg). @returns 0 or a negated errno; the version that is in effect then is told in every case */
export function setVersion(v: Vcpu, lo: number, hi: number): number {
  if (!arg.read(v, lo, hi)) return -EFAULT;
  const rc = change(v.domain, arg.view.version);
  arg.view.version = grantVersion(v.domain.capsule);
  return arg.write(v, lo, hi) ? rc : -EFAULT;
}

function change(domain: Domain, version: number): number {
  if (version !== 1 && version !== 2) return -EINVAL;
  if (version === grantVersion(domain.capsule)) return 0;
  return withGrants(domain.capsule, () => changeLocked(domain, version));
}

/** A reserved entry: flags with the marks, domid in the upper half; frame. */
interface Reserved { readonly header: number; readonly frame: number }
const NOTHING: Reserved = { header: 0, frame: 0 };

function changeLocked(domain: Domain, version: number): number {
  const c = domain.capsule;
  const n = nrGrantEntries(c);
  for (let ref = GNTTAB_NR_RESERVED_ENTRIES; ref < n; ref++) if (pinOf(c, ref) !== 0) return -EBUSY;
  const reserved: Reserved[] = [];
  for (let ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++) {
    const entry = reservedEntry(domain, ref, version);
    if (entry === undefined) return -ERANGE;
    reserved.push(entry);
  }
  if (!switchVersion(domain, version)) return -EBUSY;
  for (let i = 0; i < nrGrantFrames(c); i++) {
    const at = c.frame(XEN_FRAME.grantTable + i);
    c.u8.fill(0, at, at + PAGE_SIZE);
    domain.machine.frameWritten(XEN_FRAME.grantTable + i);
  }
  for (const [ref, { header, frame }] of reserved.entries()) {
    writeFrame(c, ref, frame);
    c.u32[headerWord(c, ref)] = (header & ~(GTF_reading | GTF_writing)) >>> 0;
    setMarks(c, ref, header & (GTF_reading | GTF_writing));
  }
  return 0;
}

/** @returns undefined for an entry that version 1 cannot express */
function reservedEntry({ capsule: c }: Domain, ref: number, version: number): Reserved | undefined {
  const header = readHeader(c, ref);
  const frame = readFrame(c, ref);
  if (version === 2) return { header, frame };
  const type = header & GTF_type_mask;
  if (type === GTF_transitive || (type === GTF_permit_access && frame > 0xffff_ffff)) return undefined;
  return type === GTF_permit_access ? { header: (header | markedFlags(c, ref)) >>> 0, frame } : NOTHING;
}
