// The crash report: what a person needs to see why a domain was crashed. Text only; it reads the state as it is and
// changes nothing but accessed bits of page tables.

import { CPU, REG, SEG } from '#machine/cpu-state.ts';
import { ACCESS } from '#machine/machine.ts';
import type { Domain } from './domain.ts';
import { hypercallName } from './hypercall-names.ts';
import { HYPERCALL_RING, hypercall_record, type Vcpu, vcpu_state, VPF } from './vcpu.ts';
import { hex64, isCanonical } from './words.ts';

const STACK_WORDS = 16;
const CODE_BYTES = 24;
const LAST_HYPERCALLS = 12;
const LEVELS = ['L4', 'L3', 'L2', 'L1'] as const;

/**
 * @param why one line
 * @param guilty the vCPU to describe; without one, all are listed with rip only
 */
export function crashReport(domain: Domain, why: string, guilty: Vcpu | undefined): string {
  const lines = [`Domain ${domain.domid} crashed: ${why}`];
  if (guilty) lines.push(...describe(guilty));
  for (const v of domain.vcpus) if (v !== guilty && (v.pauseFlags & VPF.down) === 0) lines.push(`vCPU ${v.id}: rip ${hex64(v.cpu.rip)} rsp ${hex64(v.cpu.get(REG.rsp))}`);
  return lines.join('\n');
}

function describe(v: Vcpu): string[] {
  const { cpu } = v;
  return [
    `vCPU ${v.id} in guest ${cpu.kernelMode ? 'kernel' : 'user'} mode, ${v.domain.machine.retired(cpu)} instructions retired`,
    ...registers(v),
    `code at rip: ${codeBytes(v)}`,
    `stack at rsp:`, ...stack(v),
    `walk of rip ${hex64(cpu.rip)}:`, ...walk(v, cpu.rip),
    `walk of cr2 ${hex64(v.state.cr2)}:`, ...walk(v, v.state.cr2),
    `last hypercalls, newest first:`, ...lastHypercalls(v),
  ];
}

function registers(v: Vcpu): string[] {
  const { cpu, domain } = v;
  const cell = (name: string, value: bigint): string => `${name.padEnd(3)} ${hex64(value)}`;
  const names = Object.entries(REG);
  const rows: string[] = [
    `${cell('rip', cpu.rip)}  rflags ${domain.machine.getFlags(cpu).toString(16).padStart(8, '0')}  events ${v.upcallMask ? 'masked' : 'open'}${v.upcallPending ? ', pending' : ''}`,
  ];
  for (let i = 0; i < names.length; i += 4) rows.push(names.slice(i, i + 4).map(([name, r]) => cell(name, cpu.get(r))).join('  '));
  rows.push(Object.entries(SEG).map(([name, seg]) => `${name} ${cpu.selector(seg).toString(16).padStart(4, '0')}`).join('  '));
  rows.push(`fs base ${hex64(cpu.segBase(SEG.fs))}  gs base ${hex64(cpu.segBase(SEG.gs))}  cr2 ${hex64(v.state.cr2)}  cr3 ${(cpu.field32(CPU.cr3) * 4096).toString(16)}`);
  return rows;
}

/** Reads guest memory byte by byte; undefined where it is not mapped. */
function peek(v: Vcpu, address: bigint): number | undefined {
  if (!isCanonical(address)) return undefined;
  const a = BigInt.asUintN(64, address);
  const offset = v.domain.machine.translate(v.cpu, Number(a & 0xffff_ffffn), Number(a >> 32n), ACCESS.read);
  return offset < 0 ? undefined : v.domain.capsule.u8[offset];
}

function codeBytes(v: Vcpu): string {
  const bytes: string[] = [];
  for (let i = 0; i < CODE_BYTES; i++) bytes.push(peek(v, v.cpu.rip + BigInt(i))?.toString(16).padStart(2, '0') ?? '??');
  return bytes.join(' ');
}

function stack(v: Vcpu): string[] {
  const rsp = v.cpu.get(REG.rsp);
  const rows: string[] = [];
  for (let i = 0; i < STACK_WORDS; i += 4) {
    const cells = [0, 1, 2, 3].map((j) => word(v, rsp + BigInt((i + j) * 8)));
    rows.push(`  ${hex64(rsp + BigInt(i * 8))}: ${cells.join(' ')}`);
  }
  return rows;
}

function word(v: Vcpu, address: bigint): string {
  let text = '';
  for (let i = 7; i >= 0; i--) text += peek(v, address + BigInt(i))?.toString(16).padStart(2, '0') ?? '??';
  return text;
}

/** The entries that translate an address, from the current base table down, as far as they go. */
function walk(v: Vcpu, address: bigint): string[] {
  const { capsule } = v.domain;
  const rows: string[] = [];
  let mfn = v.cpu.field32(CPU.cr3);
  for (const [depth, level] of LEVELS.entries()) {
    if (mfn >= capsule.totalFrames) {
      rows.push(`  frame ${mfn.toString(16)} does not exist`);
      break;
    }
    const slot = Number((address >> BigInt(39 - depth * 9)) & 511n);
    const entry = capsule.dv.getBigUint64(capsule.frame(mfn) + slot * 8, true);
    rows.push(`  ${level}[${slot.toString(16).padStart(3, '0')}] = ${hex64(entry)}`);
    if ((entry & 1n) === 0n) break;
    mfn = Number((entry >> 12n) & 0xff_ffff_ffffn);
  }
  return rows;
}

function lastHypercalls(v: Vcpu): string[] {
  const ring = hypercall_record.on(v.domain.capsule.buffer);
  const count = v.state.hypercall_count;
  const rows: string[] = [];
  for (let i = 1; i <= Math.min(LAST_HYPERCALLS, count); i++) {
    ring.at(v.base + vcpu_state.offset.hypercalls + ((count - i) % HYPERCALL_RING) * hypercall_record.size);
    rows.push(`  ${hypercallName(ring.number)}(${hex64(ring.arg0)}, ${hex64(ring.arg1)}, …) = ${ring.result} from ${hex64(ring.rip)}`);
  }
  return rows.length > 0 ? rows : ['  none'];
}
