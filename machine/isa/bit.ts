// BT BTS BTR BTC BSF BSR POPCNT CRC32: SDM vol. 2.

import { FLAG } from '../cpu-state.ts';
import { and, clz, ctz, eqz, i32, i64, load, or, popcnt, select, shl, shrS, shrU, sub, widenS, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Bits, Env } from './env.ts';
import { hex2 } from './mov.ts';
import type { Row } from './row.ts';

type Change = 'none' | 'set' | 'reset' | 'complement';
const changed = (e: Env, how: Change, v: Expr, mask: Expr, bits: number): Expr =>
  how === 'set' ? or(v, mask) : how === 'reset' ? and(v, xor(mask, e.const(bits, -1))) : xor(v, mask);
const setCarry = (e: Env, c: Expr): void => e.flags.merge(FLAG.cf, c);

/** With a register bit offset and a memory operand, the offset reaches beyond the operand. */
const bitTest = (how: Change) => (e: Env): void => {
  const bits = e.bits(0);
  const index = e.read(1, bits);
  const narrow = bits === 64 ? wrap(index) : index;
  const n = e.fn.let(and(narrow, i32(bits - 1)));
  const mask = e.fn.let(shl(e.const(bits, 1), e.by(n, bits)));
  const carry = (v: Expr): Expr => e.fn.let(bits === 64 ? wrap(and(shrU(v, e.by(n, 64)), i64(1))) : and(shrU(v, n), i32(1)));
  if (e.isMemory(0) && e.row.operands[1] === 'Gv') {
    const wide = bits === 64 ? index : widenS(e.signed(index, bits));
    const shift = bits === 64 ? 6 : bits === 32 ? 5 : 4;
    const va = e.addressBehind(shl(shrS(wide, i64(shift)), i64(shift - 3)));
    if (how === 'none') { setCarry(e, carry(e.load(va, bits))); return; }
    if (e.isLocked) { setCarry(e, carry(e.exchangeAt(va, bits as Bits, (old) => changed(e, how, old, mask, bits)))); return; }
    const host = e.translate(va, bits, true, 'operand');
    const v = e.fn.let(loadHost(host, bits));
    e.fn.store(bits, host, changed(e, how, v, mask, bits));
    e.commit(host);
    setCarry(e, carry(v));
    return;
  }
  const v = how === 'none' ? e.read(0) : e.isLocked ? e.exchange(0, (old) => changed(e, how, old, mask, bits)) : e.modify(0);
  const c = carry(v);
  if (how !== 'none' && !e.isLocked) e.write(0, changed(e, how, v, mask, bits));
  setCarry(e, c);
};
const loadHost = (a: Expr, bits: number): Expr => load(bits === 64 ? 'i64' : 'i32', bits, a);

/** A zero source leaves all of the destination as it is (documented by AMD, done by both) and sets ZF. */
const scan = (reverse: boolean) => (e: Env): void => {
  const bits = e.bits(0);
  const v = e.read(1);
  const position = reverse ? sub(e.const(bits, bits === 64 ? 63 : 31), clz(v)) : ctz(v);
  if (bits === 32) e.fn.if(v, () => e.write(0, position));
  else e.write(0, select(eqz(v), e.read(0), position));
  e.flags.merge(FLAG.zf, shl(eqz(v), i32(6)));
};
const population = (e: Env): void => {
  const v = e.read(1);
  e.write(0, popcnt(v));
  e.flags.all(shl(eqz(v), i32(6)));
};
/** CRC-32C (polynomial 11EDC6F41h), bit-reflected, a byte at a time. */
const crc32 = (e: Env): void => {
  const bits = e.bits(1);
  const source = e.read(1);
  const crc = e.fn.var('i32', e.read(0, 32));
  for (let at = 0; at < bits; at += 8) {
    const byte = bits === 64 ? wrap(shrU(source, i64(at))) : shrU(source, i32(at));
    crc.set(xor(crc.get, and(byte, i32(0xff))));
    for (let k = 0; k < 8; k++) crc.set(xor(shrU(crc.get, i32(1)), and(sub(i32(0), and(crc.get, i32(1))), i32(0x82f6_3b78 | 0))));
  }
  e.write(0, e.zeroExtend(crc.get, 32, e.bits(0)));
};

const BIT_OPERATIONS = [['BT', 0xa3, 4, 'none'], ['BTS', 0xab, 5, 'set'], ['BTR', 0xb3, 6, 'reset'], ['BTC', 0xbb, 7, 'complement']] as const;
const BT_UNDEFINED = FLAG.of | FLAG.sf | FLAG.af | FLAG.pf;
const SCAN_UNDEFINED = BT_UNDEFINED | FLAG.cf;

export const bit: readonly Row[] = [
  ...BIT_OPERATIONS.flatMap(([name, code, digit, how]): Row[] => [
    { name, opcode: `0F ${hex2(code)} /r`, operands: ['Ev', 'Gv'], sem: bitTest(how), flags: 'p', undefinedFlags: BT_UNDEFINED, ...(how === 'none' ? {} : { lock: true }) },
    { name, opcode: `0F BA /${digit} ib`, operands: ['Ev', 'Ib'], sem: bitTest(how), flags: 'p', undefinedFlags: BT_UNDEFINED, ...(how === 'none' ? {} : { lock: true }) },
  ]),
  { name: 'BSF', opcode: '0F BC /r', operands: ['Gv', 'Ev'], sem: scan(false), flags: 'p', undefinedFlags: SCAN_UNDEFINED },
  { name: 'BSR', opcode: '0F BD /r', operands: ['Gv', 'Ev'], sem: scan(true), flags: 'p', undefinedFlags: SCAN_UNDEFINED },
  { name: 'POPCNT', opcode: 'F3 0F B8 /r', operands: ['Gv', 'Ev'], sem: population, flags: 'w' },
  { name: 'CRC32', opcode: 'F2 0F 38 F0 /r', operands: ['Gy', 'Eb'], sem: crc32 },
  { name: 'CRC32', opcode: 'F2 0F 38 F1 /r', operands: ['Gy', 'Ev'], sem: crc32 },
];
