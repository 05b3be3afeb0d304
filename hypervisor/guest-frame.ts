// Frames of the guest's that the hypervisor itself reads or writes beyond one hypercall. A reference keeps the frame
// from being freed, a writable reference also from becoming a page table or descriptor page while we may write to it.

import type { Domain } from './domain.ts';
import { PGT_writable_page } from './mm/frame-table.ts';
import { getPageAndType, putPage, putPageAndType } from './mm/page-type.ts';

/** Takes both references for writing. False when the domain does not own the frame or it is in use as a table. */
export function getWritableFrame(domain: Domain, mfn: number): boolean { return getPageAndType(domain.mm, mfn, PGT_writable_page) === 0; }
export function putWritableFrame(domain: Domain, mfn: number): void { putPageAndType(domain.mm, mfn); }

/** Takes a reference for reading. False when the domain does not own the frame. */
export function getReadableFrame(domain: Domain, mfn: number): boolean { return domain.mm.frames.getPage(mfn); }
export function putReadableFrame(domain: Domain, mfn: number): void { putPage(domain.mm, mfn); }
