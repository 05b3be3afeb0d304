// What the builder wrote, under the hypervisor's rules: its page tables are adopted, and map what the vCPU starts with.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { XEN_ELFNOTE } from '#abi/elfnote.ts';
import { adoptInitialTables, initMemory } from '#hypervisor/mm/domain-mm.ts';
import { fakeDomain } from '#hypervisor/testing/fake-machine.ts';
import { CPU, FX, REG } from '#machine/cpu-state.ts';
import { ACCESS } from '#machine/machine.ts';
import { buildDomain } from './builder.ts';
import { enterKernel } from './first-vcpu.ts';
import { type KernelImage, loadKernel } from './kernel-image.ts';
import { elfImage, linuxNotes } from './testing/elf-image.ts';

const BASE = 0xffff_ffff_8000_0000n;

function adopt(image: KernelImage, mib: number): void {
  const { domain, machine, capsule } = fakeDomain(mib * 256);
  initMemory(domain);
  const entry = buildDomain({ capsule, image, initrd: new Uint8Array(9000), storePort: 1, consolePort: 2, fillHypercallPage: () => {} });
  assert.equal(adoptInitialTables(domain, entry.l4Mfn), 0);
  const cpu = machine.cpus[0];
  assert.ok(cpu);
  enterKernel(machine, cpu, entry);
  const at = (va: bigint, access: number): number => machine.translate(cpu, Number(va & 0xffff_ffffn), Number(va >> 32n), access);
  assert.ok(at(cpu.rip, ACCESS.execute) > 0);
  assert.equal(at(cpu.get(REG.rsi), ACCESS.write), capsule.frame(entry.startInfoMfn));
  assert.ok(at(cpu.get(REG.rsp) - 8n, ACCESS.write) > 0);
  const tables = at(cpu.get(REG.rsp) - 8192n, ACCESS.read);
  assert.ok(tables > 0);
  assert.equal(at(cpu.get(REG.rsp) - 8192n, ACCESS.write), -1, 'page tables are read-only');
  assert.equal(capsule.u16[(cpu.base + CPU.fxState + FX.fcw) >>> 1], 0x37f);
  assert.equal(machine.getFlags(cpu), 0x202);
}

test('a small kernel, p2m list within the mapping', () => {
  adopt(loadKernel(elfImage({ segments: [{ physical: 0n, bytes: new Uint8Array(9000) }], notes: linuxNotes(0n, 0n) })), 8);
});
test('a small kernel with INIT_P2M and MOD_START_PFN', () => {
  const notes = linuxNotes(BASE, BASE, [[XEN_ELFNOTE.INIT_P2M, 0x80_0000_0000n], [XEN_ELFNOTE.MOD_START_PFN, 1n]]);
  adopt(loadKernel(elfImage({ segments: [{ physical: 0n, bytes: new Uint8Array(9000) }], notes })), 8);
});

const GRUB = '/usr/lib/grub-xen/grub-x86_64-xen.bin';
test('GRUB', { skip: !existsSync(GRUB) && `no ${GRUB} (Debian: grub-xen-host)` }, () => adopt(loadKernel(readFileSync(GRUB)), 64));
const cloud = existsSync('/boot') ? readdirSync('/boot').find((f) => /^vmlinuz-.*cloud-amd64$/.test(f)) : undefined;
test('Debian\'s cloud kernel', { skip: cloud === undefined && 'no /boot/vmlinuz-*-cloud-amd64 (Debian: linux-image-cloud-amd64)' }, () => adopt(loadKernel(readFileSync(`/boot/${cloud}`)), 128));
