// MOV MOVZX MOVSX MOVSXD XCHG LEA CMOVcc SETcc BSWAP XLAT CBW/CWD families, MOVBE, NOP and hints: SDM vol. 2.

import { REG } from '../cpu-state.ts';
import { and, eqz, i32, or, rotl, select, shl, shrS, shrU, widenU, wrap, type Expr, i64 } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

const CC_NAMES = ['O', 'NO', 'B', 'AE', 'Z', 'NZ', 'BE', 'A', 'S', 'NS', 'P', 'NP', 'L', 'GE', 'LE', 'G'] as const;
/** Suffix of a condition code's mnemonic. */
export const conditionName = (cc: number): string => CC_NAMES[cc] as string;
export const hex2 = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');

const mov = (e: Env): void => e.write(0, e.read(1, e.bits(0)));
const movzx = (e: Env): void => e.write(0, e.zeroExtend(e.read(1), e.bits(1), e.bits(0)));
const movsx = (e: Env): void => e.write(0, e.signExtend(e.read(1), e.bits(1), e.bits(0)));
const xchg = (e: Env): void => {
  if (e.isLocked) {
    const to = e.read(1);
    e.write(1, e.exchange(0, () => to));
    return;
  }
  const a = e.modify(0);
  const b = e.read(1);
  e.write(0, b);
  e.write(1, a);
};
const lea = (e: Env): void => e.write(0, e.narrow(e.offset(), e.bits(0)));
/** The source is read (and may fault) whether or not the condition holds; a 32-bit destination is zero-extended in both cases. */
const cmov = (cc: number) => (e: Env): void => {
  const source = e.read(1);
  const old = e.read(0);
  e.write(0, select(e.flags.condition(cc), source, old));
};
const setcc = (cc: number) => (e: Env): void => {
  const value = e.fn.let(e.flags.condition(cc));
  e.write(0, eqz(eqz(value)));
};
const swapBytes32 = (v: Expr): Expr => or(and(rotl(v, i32(8)), i32(0x00ff_00ff)), and(rotl(v, i32(24)), i32(0xff00_ff00 | 0)));
/** Reverses the bytes of a value of 16, 32 or 64 bits. */
export function swapBytes(e: Env, v: Expr, bits: number): Expr {
  if (bits === 16) return and(or(shl(v, i32(8)), shrU(v, i32(8))), i32(0xffff));
  if (bits === 32) return swapBytes32(v);
  const lo = e.fn.let(wrap(v));
  const hi = e.fn.let(wrap(shrU(v, i64(32))));
  return or(shl(widenU(swapBytes32(lo)), i64(32)), widenU(swapBytes32(hi)));
}
/** 16-bit BSWAP is undefined; processors clear the register's low 16 bits. */
const bswap = (e: Env): void => e.write(0, e.opSize === 16 ? i32(0) : swapBytes(e, e.read(0), e.bits(0)));
const cbw = (e: Env): void => e.setReg(REG.rax, e.opSize, e.signExtend(e.reg(REG.rax, e.opSize / 2), e.opSize / 2, e.opSize));
const cwd = (e: Env): void => {
  const a = e.reg(REG.rax, e.opSize);
  const sign = e.opSize === 64 ? shrS(a, i64(63)) : shrS(e.signed(a, e.opSize), i32(31));
  e.setReg(REG.rdx, e.opSize, e.truncate(sign, e.opSize));
};
const nothing = (): void => undefined;
const xlat = (e: Env): void => {
  const v = e.load(e.address(), 8);
  e.setReg(REG.rax, 8, v);
};

export const mov_: readonly Row[] = [
  { name: 'MOV', opcode: '88 /r', operands: ['Eb', 'Gb'], size: 'b', sem: mov },
  { name: 'MOV', opcode: '89 /r', operands: ['Ev', 'Gv'], sem: mov },
  { name: 'MOV', opcode: '8A /r', operands: ['Gb', 'Eb'], size: 'b', sem: mov },
  { name: 'MOV', opcode: '8B /r', operands: ['Gv', 'Ev'], sem: mov },
  { name: 'MOV', opcode: 'A0', operands: ['AL', 'Ob'], size: 'b', sem: mov },
  { name: 'MOV', opcode: 'A1', operands: ['rAX', 'Ov'], sem: mov },
  { name: 'MOV', opcode: 'A2', operands: ['Ob', 'AL'], size: 'b', sem: mov },
  { name: 'MOV', opcode: 'A3', operands: ['Ov', 'rAX'], sem: mov },
  { name: 'MOV', opcode: 'B0+r ib', operands: ['Zb', 'Ib'], size: 'b', sem: mov },
  { name: 'MOV', opcode: 'B8+r iv', operands: ['Zv', 'Iv'], sem: mov },
  { name: 'MOV', opcode: 'C6 /0 ib', operands: ['Eb', 'Ib'], size: 'b', sem: mov },
  { name: 'MOV', opcode: 'C7 /0 iz', operands: ['Ev', 'Iz'], sem: mov },
  { name: 'MOVZX', opcode: '0F B6 /r', operands: ['Gv', 'Eb'], sem: movzx },
  { name: 'MOVZX', opcode: '0F B7 /r', operands: ['Gv', 'Ew'], sem: movzx },
  { name: 'MOVSX', opcode: '0F BE /r', operands: ['Gv', 'Eb'], sem: movsx },
  { name: 'MOVSX', opcode: '0F BF /r', operands: ['Gv', 'Ew'], sem: movsx },
  { name: 'MOVSXD', opcode: '63 /r', operands: ['Gv', 'Ez'], mode: '64', sem: movsx },
  { name: 'XCHG', opcode: '86 /r', operands: ['Eb', 'Gb'], size: 'b', sem: xchg, lock: true },
  { name: 'XCHG', opcode: '87 /r', operands: ['Ev', 'Gv'], sem: xchg, lock: true },
  { name: 'XCHG', opcode: '90+r', operands: ['Zv', 'rAX'], sem: xchg },
  { name: 'LEA', opcode: '8D /r', operands: ['Gv', 'M'], sem: lea },
  ...CC_NAMES.flatMap((cc, i): Row[] => [
    { name: `CMOV${cc}`, opcode: `0F ${hex2(0x40 + i)} /r`, operands: ['Gv', 'Ev'], sem: cmov(i), flags: 'r' },
    { name: `SET${cc}`, opcode: `0F ${hex2(0x90 + i)} /r`, operands: ['Eb'], size: 'b', sem: setcc(i), flags: 'r' },
  ]),
  { name: 'BSWAP', opcode: '0F C8+r', operands: ['Zv'], sem: bswap },
  { name: 'CBW', opcode: '98', operands: [], sem: cbw },
  { name: 'CWD', opcode: '99', operands: [], sem: cwd },
  { name: 'XLAT', opcode: 'D7', operands: ['Mxlat'], size: 'b', sem: xlat },
  { name: 'PAUSE', opcode: 'F3 90', operands: [], sem: nothing },
  { name: 'NOP', opcode: '90', operands: [], sem: nothing },
  { name: 'NOP', opcode: '0F 1F /r', operands: ['E'], sem: nothing },
  ...[0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e].map((n): Row => ({ name: n === 0x18 ? 'PREFETCH' : 'NOP', opcode: `0F ${hex2(n)} /r`, operands: ['E'], sem: nothing })),
  { name: 'PREFETCHW', opcode: '0F 0D /r', operands: ['E'], sem: nothing },
  { name: 'LFENCE', opcode: 'NP 0F AE /5', operands: ['U'], sem: nothing },
  { name: 'MFENCE', opcode: 'NP 0F AE /6', operands: ['U'], sem: (e) => e.fn.fence() },
  { name: 'SERIALIZE', opcode: 'NP 0F 01 E8', operands: [], sem: (e) => e.fn.fence(), unchecked: 'few processors have it' },
  { name: 'SFENCE', opcode: 'NP 0F AE /7', operands: ['U'], sem: nothing },
  { name: 'CLFLUSH', opcode: 'NP 0F AE /7', operands: ['Mb'], size: 'b', sem: (e) => { e.read(0); } },
];
