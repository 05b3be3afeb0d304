// DIV and IDIV of 128 by 64 bits against BigInt: quotients, remainders, and #DE where there is none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT, REG } from '../cpu-state.ts';
import { BASE, FlatMachine } from '../testing/flat-machine.ts';

const MASK = (1n << 64n) - 1n;
/** Where digits, signs and estimates change. */
const EDGES = [0n, 1n, 2n, 3n, 10n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n, 0x1_0000_0001n, 0x8000_0000_0000_0000n, 0x8000_0000_0000_0001n, 0x8000_0000_ffff_ffffn, 0xffff_ffff_0000_0000n, MASK - 1n, MASK, MASK >> 1n];

function numbers(count: number): bigint[] {
  let state = 88172645463325252n;
  const next = (): bigint => {
    state ^= state << 13n & MASK;
    state ^= state >> 7n;
    state ^= state << 17n & MASK;
    return state &= MASK;
  };
  return Array.from({ length: count }, () => next() >> (next() & 63n));
}

type Result = readonly [quotient: bigint, remainder: bigint] | 'does not fit';
function divided(signed: boolean, high: bigint, low: bigint, divisor: bigint): Result {
  const dividend = high << 64n | low;
  const [a, b] = signed ? [BigInt.asIntN(128, dividend), BigInt.asIntN(64, divisor)] : [dividend, divisor];
  if (b === 0n) return 'does not fit';
  const q = a / b;
  return q === (signed ? BigInt.asIntN : BigInt.asUintN)(64, q) ? [q & MASK, a % b & MASK] : 'does not fit';
}

for (const [how, compileAfter] of [['interpreted', 0], ['compiled', 1]] as const) {
  for (const [name, code, signed] of [['DIV', '48 f7 f3', false], ['IDIV', '48 f7 fb', true]] as const) {
    test(`${name} of 128 bits by 64 (${how})`, () => {
      const m = new FlatMachine(compileAfter);
      m.put(0, `${code} 0f 0b`); // (i)div rbx; ud2
      const check = (high: bigint, low: bigint, divisor: bigint): void => {
        for (const [register, value] of [[REG.rdx, high], [REG.rax, low], [REG.rbx, divisor]] as const) m.cpu.set(register, value);
        assert.equal(m.run(0), EXIT.exception);
        const expected = divided(signed, high, low, divisor);
        const hex = `${high.toString(16)}:${low.toString(16)} by ${divisor.toString(16)}`;
        if (expected === 'does not fit') assert.deepEqual([m.cpu.rip, m.cpu.get(REG.rax), m.cpu.get(REG.rdx)], [BigInt(BASE), low, high], hex);
        else assert.deepEqual([m.cpu.rip, m.cpu.get(REG.rax), m.cpu.get(REG.rdx)], [BigInt(BASE + 3), ...expected], hex);
      };
      for (const high of EDGES) for (const low of EDGES) for (const divisor of EDGES) check(high, low, divisor);
      const values = numbers(3000);
      for (let i = 0; i + 2 < values.length; i++) {
        const [a, b, divisor] = values.slice(i, i + 3) as [bigint, bigint, bigint];
        check(a, b, divisor);
        if (divisor !== 0n) check(a % divisor, b, divisor); // it fits, unsigned
      }
    });
  }
}
