// HYPERVISOR_physdev_op (public/physdev.h) as a DomU without devices sees it: it has its virtual IOPL, its I/O
// bitmap and a page for EOI bits; whatever would touch a device or an interrupt line of the machine is refused.

import { EBUSY, EFAULT, EINVAL, ENODEV, ENOSYS, EPERM } from '#abi/errno.ts';
import {
  PHYSDEVOP, physdev_apic, physdev_eoi, physdev_get_free_pirq, physdev_irq, physdev_irq_status_query, physdev_map_pirq, physdev_pirq_eoi_gmfn, physdev_set_iobitmap,
  physdev_set_iopl, physdev_unmap_pirq,
} from '#abi/physdev.ts';
import { struct } from '#base/struct.ts';
import { checkTarget } from './domid.ts';
import { guestRangeOk } from './guest-access.ts';
import { GuestBytes, GuestStruct } from './guest-struct.ts';
import type { Hypercall } from './hypercall.ts';
import { DOMAIN_STATE } from './layout.ts';
import { getWritableFrame } from './guest-frame.ts';
import type { Vcpu } from './vcpu.ts';

/** Interrupt lines that a DomU could be given: none is, but their numbers are valid. Xen: 24 GSIs and 32 extra. */
export const NR_PIRQS = 56;
const NR_GSIS = 24;
/** flag of irq_status_query */
const XENIRQSTAT_needs_eoi = 1;
const IO_BITMAP_BYTES = 65536 / 8;

const domain_physdev = struct('domain_physdev', 4, { pirqEoiMfn: 'u32' });

const eoiArg = new GuestStruct(physdev_eoi);
const eoiPageArg = new GuestStruct(physdev_pirq_eoi_gmfn);
const statusArg = new GuestStruct(physdev_irq_status_query);
const ioplArg = new GuestStruct(physdev_set_iopl);
const iobitmapArg = new GuestStruct(physdev_set_iobitmap);
const mapArg = new GuestStruct(physdev_map_pirq);
const unmapArg = new GuestStruct(physdev_unmap_pirq);
const apicArg = new GuestStruct(physdev_apic);
const irqArg = new GuestStruct(physdev_irq);
const freePirqArg = new GuestStruct(physdev_get_free_pirq);
const addExtArg = new GuestBytes(16);
const gsiArg = new GuestBytes(8);

interface Op { readonly arg?: { read(v: Vcpu, lo: number, hi: number): boolean; write(v: Vcpu, lo: number, hi: number): boolean }; readonly run: (v: Vcpu) => number; readonly out?: true }
const refused = (): number => -EPERM;

/** One row for each PHYSDEVOP that Xen 4.17 knows; without `arg` it is refused before its argument is read. */
const OPS: { readonly [cmd: number]: Op } = {
  [PHYSDEVOP.eoi]: { arg: eoiArg, run: () => -EINVAL }, // no line is bound
  [PHYSDEVOP.pirq_eoi_gmfn_v1]: { arg: eoiPageArg, run: setEoiPage },
  [PHYSDEVOP.pirq_eoi_gmfn_v2]: { arg: eoiPageArg, run: setEoiPage },
  [PHYSDEVOP.IRQ_UNMASK_NOTIFY]: { run: () => 0 }, // nothing to unmask
  [PHYSDEVOP.irq_status_query]: { arg: statusArg, run: queryStatus, out: true },
  [PHYSDEVOP.map_pirq]: { arg: mapArg, run: (v) => checkTarget(v.domain, mapArg.view.domid) || -EPERM },
  [PHYSDEVOP.unmap_pirq]: { arg: unmapArg, run: (v) => checkTarget(v.domain, unmapArg.view.domid) || -EPERM },
  [PHYSDEVOP.apic_read]: { arg: apicArg, run: refused },
  [PHYSDEVOP.apic_write]: { arg: apicArg, run: refused },
  [PHYSDEVOP.alloc_irq_vector]: { arg: irqArg, run: refused },
  [PHYSDEVOP.set_iopl]: { arg: ioplArg, run: setIopl },
  [PHYSDEVOP.set_iobitmap]: { arg: iobitmapArg, run: setIoBitmap },
  [PHYSDEVOP.manage_pci_add]: { arg: new GuestBytes(2), run: refused },
  [PHYSDEVOP.manage_pci_remove]: { arg: new GuestBytes(2), run: refused },
  [PHYSDEVOP.manage_pci_add_ext]: { arg: addExtArg, run: () => (addExtArg.u32(4) > 1 || addExtArg.u32(8) > 1 ? -EINVAL : -EPERM) }, // is_extfn, is_virtfn
  [PHYSDEVOP.pci_device_add]: { arg: new GuestBytes(12), run: refused },
  [PHYSDEVOP.pci_device_remove]: { arg: new GuestBytes(4), run: refused },
  [PHYSDEVOP.prepare_msix]: { arg: new GuestBytes(4), run: refused },
  [PHYSDEVOP.release_msix]: { arg: new GuestBytes(4), run: refused },
  [PHYSDEVOP.pci_mmcfg_reserved]: { run: refused },
  [PHYSDEVOP.restore_msi]: { arg: new GuestBytes(2), run: () => -ENODEV },
  [PHYSDEVOP.restore_msi_ext]: { arg: new GuestBytes(4), run: () => -ENODEV },
  [PHYSDEVOP.setup_gsi]: { arg: gsiArg, run: () => (gsiArg.u32(0) < NR_GSIS ? -EPERM : -EINVAL) },
  [PHYSDEVOP.get_free_pirq]: { arg: freePirqArg, run: () => { freePirqArg.view.pirq = NR_PIRQS - 1; return 0; }, out: true },
  [PHYSDEVOP.dbgp_op]: { run: refused },
};

/** (cmd, arg): 0 or a negated errno. */
export const do_physdev_op: Hypercall = (v, a) => {
  const op = OPS[a.lo(0)];
  if (!op) return -ENOSYS;
  if (op.arg && !op.arg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  const result = op.run(v);
  return result === 0 && op.out && !op.arg?.write(v, a.lo(1), a.hi(1)) ? -EFAULT : result;
};

/** The page of EOI bits: Xen would set them for lines that need an EOI. It stays referenced while the domain lives. */
function setEoiPage(v: Vcpu): number {
  const state = domain_physdev.on(v.domain.capsule.buffer).at(DOMAIN_STATE.physdev);
  const { gmfn } = eoiPageArg.view;
  if (state.pirqEoiMfn !== 0) return -EBUSY;
  if (!getWritableFrame(v.domain, Number(gmfn))) return -EINVAL;
  state.pirqEoiMfn = Number(gmfn);
  return 0;
}

function queryStatus(): number {
  if (statusArg.view.irq >= NR_PIRQS) return -EINVAL;
  statusArg.view.flags = XENIRQSTAT_needs_eoi;
  return 0;
}

function setIopl(v: Vcpu): number {
  const { iopl } = ioplArg.view;
  if (iopl > 3) return -EINVAL;
  v.state.iopl = iopl << 12;
  return 0;
}

function setIoBitmap(v: Vcpu): number {
  const { bitmap, nr_ports } = iobitmapArg.view;
  if (nr_ports > 65536 || !guestRangeOk(Number(bitmap & 0xffff_ffffn), Number(bitmap >> 32n), IO_BITMAP_BYTES)) return -EINVAL;
  v.state.iobmp = bitmap;
  v.state.iobmp_limit = nr_ports;
  return 0;
}
