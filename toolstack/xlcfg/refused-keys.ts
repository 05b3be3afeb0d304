// Keys of xl.cfg(5), Xen 4.17, that make no sense here, each with the reason in a sentence. A value that only says that
// the thing is not wanted (0, or an empty list) is let through.

import type { Setting } from './config-file.ts';
import { parseInteger } from './integer.ts';
import { problem } from './settings-reader.ts';

const HVM = 'for HVM guests only, which need hardware virtualisation; this runs PV guests';
const PVH = 'for PVH guests only, which need hardware virtualisation; this runs PV guests';
const ARM = 'for Arm only; this is an x86-64 machine';
const DEVICE_MODEL = 'there is no device model: PV guests have no emulated devices';
const DISPLAY = 'there is no display for guests, only the console';
const PASSTHROUGH = 'no devices of the host can be handed to a guest';
const NO_BACKEND = 'there is no back end for this device; guests have console, disk and vif';
const SCHEDULER = 'for the RTDS scheduler only; use cpu_weight and cap';
const LIMIT = 'the limit cannot be changed';

const REFUSED: ReadonlyMap<string, string> = new Map(([
  ['acpi acpi_firmware acpi_laptop_slate acpi_s3 acpi_s4 altp2m altp2mhvm apic bios bios_path_override boot firmware_override '
    + 'hap hdtype hpet mca_caps mmio_hole ms_vm_genid nestedhvm nx oos pae rdm rdm_mem_boundary shadow_memory smbios_firmware '
    + 'timer_mode vendor_device viridian vpt_align xen_platform_pci', HVM],
  ['pvshim pvshim_cmdline pvshim_extra pvshim_path', PVH],
  ['device_tree dtdev gic_version tee vpmu vuart', ARM],
  ['device_model device_model_args device_model_args_hvm device_model_args_pv device_model_override device_model_stubdomain_override '
    + 'device_model_stubdomain_seclabel device_model_user device_model_version dm_restrict serial soundhw stubdomain_cmdline '
    + 'stubdomain_kernel stubdomain_memory stubdomain_ramdisk usb usbdevice usbversion vkb_device', DEVICE_MODEL],
  ['display gfx_passthru keymap nographic opengl sdl spice spice_clipboard_sharing spice_image_compression spice_streaming_video '
    + 'spiceagent_mouse spicedisable_ticketing spicehost spicepasswd spiceport spicetls_port spiceusbredirection spicevdagent '
    + 'stdvga vga videoram vfb vnc vncdisplay vnclisten vncpasswd vncunused vncviewer xauthority', DISPLAY],
  ['e820_host iomem ioports irqs passthrough pci pci_msitranslate pci_permissive pci_power_mgmt pci_seize usbctrl usbdev', PASSTHROUGH],
  ['channel p9 pvcalls vdispl vkb vsnd vtpm', NO_BACKEND],
  ['vif2', 'netchannel2 is gone from Xen; use vif'],
  ['budget extratime latency period slice', SCHEDULER],
  ['max_event_channels max_grant_frames max_grant_version max_maptrack_frames', LIMIT],
  ['bootloader bootloader_args', 'no boot loader runs on the host: give the kernel of the guest with kernel and ramdisk'],
  ['firmware', 'no pvgrub comes with this: give its image, or a kernel, with kernel'],
  ['vnuma', 'virtual NUMA is for HVM and PVH guests only'],
  ['pool', 'there are no CPU pools'],
  ['seclabel init_seclabel', 'there is no XSM policy, and no labels'],
  ['driver_domain', 'there are no driver domains'],
  ['cpuid', 'the processor that guests see is fixed'],
  ['tsc_mode', 'there is one mode: the TSC counts with the domain\'s clock'],
  ['localtime rtc_timeoffset', 'the wall clock of guests is UTC; set the time zone in the guest'],
  ['msr_relaxed', 'there are no model-specific registers of a host to be lenient about'],
  ['vmtrace_buf_kb', 'the processor has no trace to buffer'],
  ['xend_suspend_evtchn_compat', 'domains are not suspended by xend\'s event channel'],
] as const).flatMap(([keys, reason]) => keys.split(' ').map((key) => [key, reason] as const)));

/** Why a key is refused; undefined for others. */
export function refusalOf(key: string): string | undefined { return REFUSED.get(key); }

/** All of them, for tests. */
export function refusedKeys(): readonly string[] { return [...REFUSED.keys()]; }

/** @throws ConfigError when the key is refused, and its value asks for something */
export function refuse(setting: Setting): void {
  const reason = refusalOf(setting.key);
  if (reason !== undefined && !asksForNothing(setting)) throw problem(setting, `${reason}; leave the key out`);
}

function asksForNothing({ value }: Setting): boolean {
  return value.kind === 'list' ? value.items.length === 0 : parseInteger(value.text) === 0;
}
