// PCMPESTRI PCMPESTRM PCMPISTRI PCMPISTRM: SDM vol. 2. The comparison itself is in fpu/string-compare.ts.

import { CPU, FX, REG } from '../cpu-state.ts';
import { SSE_SCRATCH } from '../fpu/sse-operation.ts';
import { STRING_COMPARE, STRING_FLAGS } from '../fpu/string-compare.ts';
import { i32, load, or } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

/** The memory operand need not be aligned. */
const compare = (kind: number) => (e: Env): void => {
  const b = e.readVector(1, 'v128', 128);
  e.fn.store(128, e.cpu, e.readVector(0, 'v128', 128), SSE_SCRATCH.a);
  e.fn.store(128, e.cpu, b, SSE_SCRATCH.b);
  e.slow('pcmpstr', or(e.imm(8), i32(kind | (e.opSize === 64 ? STRING_COMPARE.wide : 0))));
  if (kind & STRING_COMPARE.mask) e.fn.store(128, e.cpu, load('v128', 128, e.cpu, SSE_SCRATCH.result), CPU.fxState + FX.xmm);
  else e.setReg(REG.rcx, 32, e.field(SSE_SCRATCH.result));
  e.flags.all(e.field(STRING_FLAGS));
};
const row = (name: string, opcode: string, kind: number): Row =>
  ({ name, opcode: `66 0F 3A ${opcode} /r ib`, operands: ['Vx', 'Wx', 'Ib'], sem: compare(kind), flags: 'w' });

export const sseString: readonly Row[] = [
  row('PCMPESTRM', '60', STRING_COMPARE.explicit | STRING_COMPARE.mask), row('PCMPESTRI', '61', STRING_COMPARE.explicit),
  row('PCMPISTRM', '62', STRING_COMPARE.mask), row('PCMPISTRI', '63', 0),
];
