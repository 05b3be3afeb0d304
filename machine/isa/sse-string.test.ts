// PCMPISTRI as generated code, beside the routine in TypeScript.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CPU, FX, REG } from '../cpu-state.ts';
import { SSE_SCRATCH } from '../fpu/sse-operation.ts';
import { compareStrings, STRING_FLAGS } from '../fpu/string-compare.ts';
import { FlatMachine } from '../testing/flat-machine.ts';
import { Random } from '../vectors/random.ts';
import { STATUS } from './flags.ts';

const XMM = CPU.fxState + FX.xmm;

for (const [how, compileAfter] of [['interpreted', 0], ['compiled', 1]] as const) {
  test(`PCMPISTRI does as the routine for every immediate (${how})`, () => {
    const random = new Random(7);
    const m = new FlatMachine(compileAfter);
    const { u8, dv } = m.capsule;
    for (let immediate = 0; immediate < 256; immediate++) {
      const code = 16 * immediate;
      m.put(code, `66 0f 3a 63 c1 ${immediate.toString(16)} 0f 0b`); // pcmpistri $immediate, %xmm1, %xmm0; ud2
      for (let round = 0; round < 30; round++) {
        for (let i = 0; i < 32; i++) u8[m.cpu.base + XMM + i] = random.below(round % 3 === 0 ? 256 : 4 + round); // zeros end strings
        m.finish(code);
        const [index, flags] = [m.cpu.get(REG.rcx), m.machine.getFlags(m.cpu) & STATUS];
        u8.copyWithin(m.cpu.base + SSE_SCRATCH.a, m.cpu.base + XMM, m.cpu.base + XMM + 16);
        u8.copyWithin(m.cpu.base + SSE_SCRATCH.b, m.cpu.base + XMM + 16, m.cpu.base + XMM + 32);
        compareStrings(m.capsule, m.cpu.base, immediate);
        const expected = [BigInt(dv.getUint32(m.cpu.base + SSE_SCRATCH.result, true)), dv.getUint32(m.cpu.base + STRING_FLAGS, true)];
        assert.deepEqual([index, flags], expected, `immediate ${immediate}, round ${round}`);
      }
    }
  });
}
