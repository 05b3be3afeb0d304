// I/O ports of a PV guest. An access needs permission: a virtual IOPL that covers the guest's level, or a clear bit in
// the bitmap that PHYSDEVOP_set_iobitmap named; without it, #GP. A DomU owns no ports: what it may touch reads as all
// ones and ignores writes, but for the index registers of PCI configuration (0xcf8, 32-bit) and the RTC (0x70), which
// remember. Linux probes all of these at boot.

import { VMASST_TYPE_architectural_iopl } from '#abi/xen.ts';
import { copyFromGuest } from './guest-access.ts';
import type { Vcpu } from './vcpu.ts';
import { add, result } from './words.ts';

const PCI_CONFIG_ADDRESS = 0xcf8, RTC_INDEX = 0x70;

/** True when the guest's virtual IOPL lets its current mode use ports and CLI and STI. */
export function ioplOk(v: Vcpu): boolean {
  const kernelLevel = v.domain.mm.vmAssist(VMASST_TYPE_architectural_iopl) ? 0 : 1;
  const level = v.kernelMode ? kernelLevel : 3;
  return level << 12 <= v.state.iopl;
}

const bits = new Uint8Array(2);

/** May the guest, as it runs, access [port, port + size)? */
export function ioPermitted(v: Vcpu, port: number, size: number): boolean {
  if (ioplOk(v)) return true;
  if (v.state.iobmp_limit <= port + size) return false;
  const user = !v.kernelMode;
  if (user) v.toggleMode(); // the bitmap is kernel memory
  bits.fill(0xff);
  const at = v.state.iobmp;
  add(Number(at & 0xffff_ffffn), Number(at >> 32n), port >>> 3);
  const { lo, hi } = result;
  if (copyFromGuest(v, lo, hi, bits, 0, 1)) {
    add(lo, hi, 1);
    if (!copyFromGuest(v, result.lo, result.hi, bits, 1, 1)) bits[1] = 0xff;
  }
  if (user) v.toggleMode();
  const mask = (bits[0] as number) | ((bits[1] as number) << 8);
  return (mask & (((1 << size) - 1) << (port & 7))) === 0;
}

/** @param size 1, 2 or 4 bytes @returns the value, unsigned */
export function ioRead(v: Vcpu, port: number, size: number): number {
  const { state } = v.domain;
  if (port === PCI_CONFIG_ADDRESS && size === 4) return state.pci_cf8;
  let data = 0;
  for (let i = size - 1; i >= 0; i--) data = data * 256 + (port + i === RTC_INDEX ? state.cmos_index : 0xff);
  return data;
}

export function ioWrite(v: Vcpu, port: number, size: number, value: number): void {
  const { state } = v.domain;
  if (port === PCI_CONFIG_ADDRESS && size === 4) {
    state.pci_cf8 = value;
    return;
  }
  for (let i = 0; i < size; i++) if (port + i === RTC_INDEX) state.cmos_index = (value >>> (i * 8)) & 0xff;
}
