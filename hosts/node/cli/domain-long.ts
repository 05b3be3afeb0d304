// Domains as `xl list --long` gives them: libxl's JSON of a domain's configuration. As there, what has its default is left out.

import type { LongInfo } from '../daemon/protocol.ts';

const KIB = 1024;

export function longList(domains: readonly LongInfo[]): unknown[] {
  return domains.map((d) => ({ domid: d.domid, config: configOf(d) }));
}
function configOf(d: LongInfo): unknown {
  const { kernel, cmdline, ramdisk, weight, cap } = d;
  return {
    c_info: { type: 'pv', name: d.name, uuid: d.uuid, run_hotplug_scripts: 'True' },
    b_info: {
      max_vcpus: d.maxvcpus, avail_vcpus: Array.from({ length: d.vcpus }, (_, n) => n), max_memkb: d.maxmem * KIB, target_memkb: d.target * KIB,
      sched_params: { weight, ...(cap === 0 ? {} : { cap }) }, claim_mode: 'True', kernel, cmdline: cmdline || undefined, ramdisk, 'type.pv': {}, arch_arm: {}, arch_x86: {},
    },
    on_poweroff: unlessDefault(d.onPoweroff), on_reboot: unlessDefault(d.onReboot), on_crash: unlessDefault(d.onCrash),
    on_soft_reset: d.domid === 0 ? undefined : 'soft_reset',
  };
}
function unlessDefault(action: string | undefined): string | undefined { return action === 'destroy' ? undefined : action; }
