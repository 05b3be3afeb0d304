// Calls about physical devices and I/O privilege: public/physdev.h.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const PHYSDEVOP = {
  IRQ_UNMASK_NOTIFY: 4, irq_status_query: 5, set_iopl: 6, set_iobitmap: 7, apic_read: 8, apic_write: 9, alloc_irq_vector: 10,
  free_irq_vector: 11, eoi: 12, map_pirq: 13, unmap_pirq: 14, manage_pci_add: 15, manage_pci_remove: 16, pirq_eoi_gmfn_v1: 17,
  restore_msi: 19, manage_pci_add_ext: 20, setup_gsi: 21, get_free_pirq: 23, pci_mmcfg_reserved: 24, pci_device_add: 25,
  pci_device_remove: 26, restore_msi_ext: 27, pirq_eoi_gmfn_v2: 28, dbgp_op: 29, prepare_msix: 30, release_msix: 31,
} as const;

export const physdev_eoi = struct('physdev_eoi', 4, { irq: 'u32' });
export const physdev_pirq_eoi_gmfn = struct('physdev_pirq_eoi_gmfn', 8, { gmfn: 'u64' });
export const physdev_irq_status_query = struct('physdev_irq_status_query', 8, { irq: 'u32', flags: 'u32' });
export const physdev_set_iopl = struct('physdev_set_iopl', 4, { iopl: 'u32' });
export const physdev_set_iobitmap = struct('physdev_set_iobitmap', 16, { bitmap: 'u64', nr_ports: 'u32' });
export const physdev_apic = struct('physdev_apic', 16, { apic_physbase: 'u64', reg: 'u32', value: 'u32' });
export const physdev_irq = struct('physdev_irq', 8, { irq: 'u32', vector: 'u32' });
export const physdev_map_pirq = struct('physdev_map_pirq', 40, {
  domid: 'u16', type: 'i32', index: 'i32', pirq: 'i32', bus: 'i32', devfn: 'i32', entry_nr: 'i32', table_base: 'u64',
});
export const physdev_unmap_pirq = struct('physdev_unmap_pirq', 8, { domid: 'u16', pirq: 'i32' });
export const physdev_get_free_pirq = struct('physdev_get_free_pirq', 8, { type: 'i32', pirq: 'u32' });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('physdev.h', 'struct physdev_eoi', physdev_eoi),
  cLayout('physdev.h', 'struct physdev_pirq_eoi_gmfn', physdev_pirq_eoi_gmfn),
  cLayout('physdev.h', 'struct physdev_irq_status_query', physdev_irq_status_query),
  cLayout('physdev.h', 'struct physdev_set_iopl', physdev_set_iopl),
  cLayout('physdev.h', 'struct physdev_set_iobitmap', physdev_set_iobitmap),
  cLayout('physdev.h', 'struct physdev_apic', physdev_apic),
  cLayout('physdev.h', 'struct physdev_irq', physdev_irq),
  cLayout('physdev.h', 'struct physdev_map_pirq', physdev_map_pirq),
  cLayout('physdev.h', 'struct physdev_unmap_pirq', physdev_unmap_pirq),
  cLayout('physdev.h', 'struct physdev_get_free_pirq', physdev_get_free_pirq),
];
