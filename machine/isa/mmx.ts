// EMMS. The other MMX instructions stand beside their XMM forms, in sse-int.ts, sse-shuffle.ts, sse-move.ts and
// sse-convert.ts. SDM vol. 2.

import { i32 } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';
import { checkPending } from './vector.ts';

const emms = (e: Env): void => {
  checkPending(e);
  e.slow('emms', i32(0));
};

export const mmx: readonly Row[] = [
  { name: 'EMMS', opcode: 'NP 0F 77', operands: [], sem: emms },
];
