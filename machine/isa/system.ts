// Segment registers, time stamp, CPUID, and the instructions that only ring 0 may execute: those leave to the
// hypervisor, which emulates them or raises #GP. SDM vol. 2 and 3.

import { CPU, EXIT, FLAG, FX, PRIV, REG, SEG } from '../cpu-state.ts';
import { and, eq, i32, i64, load, ltU, op, or, shl, shrU, widenU, wrap, type Expr } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

const privileged = (name: string, opcode: string, operation: number, argument: (e: Env) => Expr = () => i64(0), operands: string[] = [], rest: Partial<Row> = {}): Row => ({
  name, opcode, operands, ends: true, unchecked: 'privileged', sem: (e) => e.exit(EXIT.privileged, operation, argument(e), true), ...rest,
});
const port = (bits: (e: Env) => number, immediate: boolean) => (e: Env): Expr =>
  or(immediate ? widenU(e.imm(8)) : widenU(e.reg(REG.rdx, 16)), i64(bits(e) / 8 << 16));
const registers = (e: Env): Expr => widenU(or(e.regNumber(0), shl(e.regNumber(1), i32(8))));
const registersReversed = (e: Env): Expr => widenU(or(e.regNumber(1), shl(e.regNumber(0), i32(8))));

const movFromSegment = (e: Env): void => {
  const selector = e.fn.let(load('i32', 16, e.segmentSelector(1), CPU.selector));
  if (e.isMemory(0)) e.write(0, selector);
  else e.writeWide(0, selector);
};
const movToSegment = (e: Env): void => e.slow('loadSegment', or(e.read(1, 16), shl(e.regNumber(0), i32(16))));
/** LDS and its like: a far pointer from memory into a segment register and a general one. */
const loadPointer = (seg: number) => (e: Env): void => e.slow('loadPointer', or(e.regNumber(0), i32(seg << 16)), e.address());
/** The destination's RPL is raised to the source's; ZF tells whether it was lower. Only then is it written. */
const arpl = (e: Env): void => {
  const selector = e.read(0);
  const other = e.read(1);
  const rpl = e.fn.let(and(other, i32(3)));
  const lower = e.fn.let(ltU(and(selector, i32(3)), rpl));
  e.fn.if(lower, () => e.write(0, or(and(selector, i32(~3)), rpl)));
  e.flags.merge(FLAG.zf, shl(lower, i32(6)));
};
/** f64 → i64, of a number that is whole and not negative; 2^64 - 1 at the most (a clock may have been made to jump that far) */
const truncate = (a: Expr): Expr => op('i64', [0xfc, 7], a);
const rdtsc = (e: Env): void => {
  const t = e.fn.let(truncate(e.callOut('rdtsc', e.cpu)));
  e.setReg(REG.rax, 32, wrap(t));
  e.setReg(REG.rdx, 32, wrap(shrU(t, i64(32))));
};
/** There is always a random number: CF set, the other flags clear. */
const random = (e: Env): void => {
  const v = e.fn.let(e.callOut('random', e.cpu));
  e.write(0, e.narrow(v, e.bits(0)));
  e.flags.all(i32(FLAG.cf));
};
const checkSelector = (operation: number) => (e: Env): void => e.slow('checkSelector', or(e.read(1, 16), i32(operation << 16)));
const ldmxcsr = (e: Env): void => {
  const v = e.read(0);
  // reserved bits raise #GP
  e.fn.if(and(v, i32(~0xffff)), () => e.raise(13, i32(0)));
  e.setField(CPU.fxState + FX.mxcsr, v);
};

/** FNSTCW (D9 /7), which C code has wherever it converts to integers by x87, neither waits nor changes anything. */
function controlOrMemory(e: Env): void {
  const code = e.imm(32);
  const va = e.address();
  e.fn.if(eq(and(code, i32(0xff38)), i32(0xd938)), () => e.store(va, 16, load('i32', 16, e.cpu, CPU.fxState + FX.fcw)), () => e.slow('x87', code, va));
}

export const system: readonly Row[] = [
  { name: 'MOV', opcode: '8C /r', operands: ['Ew', 'Sw'], sem: movFromSegment },
  { name: 'MOV', opcode: '8E /r', operands: ['Sw', 'Ew'], sem: movToSegment, unchecked: 'loads a segment register' },
  { name: 'RDTSC', opcode: '0F 31', operands: [], sem: rdtsc, unchecked: 'not deterministic' },
  { name: 'RDRAND', opcode: '0F C7 /6', operands: ['Rv'], sem: random, flags: 'w', unchecked: 'not deterministic' },
  { name: 'RDSEED', opcode: '0F C7 /7', operands: ['Rv'], sem: random, flags: 'w', unchecked: 'not deterministic' },
  ...([['C4', SEG.es, 'LES'], ['C5', SEG.ds, 'LDS']] as const).map(([opcode, seg, name]): Row => ({ name, opcode: `${opcode} /r`, operands: ['Gv', 'Mp'], mode: 'not64', sem: loadPointer(seg), unchecked: 'loads a segment register' })),
  ...([['0F B2', SEG.ss, 'LSS'], ['0F B4', SEG.fs, 'LFS'], ['0F B5', SEG.gs, 'LGS']] as const).map(([opcode, seg, name]): Row => ({ name, opcode: `${opcode} /r`, operands: ['Gv', 'Mp'], sem: loadPointer(seg), unchecked: 'loads a segment register' })),
  { name: 'ARPL', opcode: '63 /r', operands: ['Ew', 'Gw'], mode: 'not64', sem: arpl, flags: 'p' },
  privileged('RDTSCP', '0F 01 F9', PRIV.rdtscp),
  privileged('CPUID', '0F A2', PRIV.cpuid, undefined, [], { unchecked: 'answered by the hypervisor' }),
  privileged('RDPMC', '0F 33', PRIV.rdpmc),
  privileged('HLT', 'F4', PRIV.hlt),
  privileged('IN', 'E4 ib', PRIV.in, port(() => 8, true), ['AL', 'Ib'], { size: 'b' }),
  privileged('IN', 'E5 ib', PRIV.in, port((e) => Math.min(e.opSize, 32), true), ['eAX', 'Ib']),
  privileged('IN', 'EC', PRIV.in, port(() => 8, false), ['AL', 'DX'], { size: 'b' }),
  privileged('IN', 'ED', PRIV.in, port((e) => Math.min(e.opSize, 32), false), ['eAX', 'DX']),
  privileged('OUT', 'E6 ib', PRIV.out, port(() => 8, true), ['Ib', 'AL'], { size: 'b' }),
  privileged('OUT', 'E7 ib', PRIV.out, port((e) => Math.min(e.opSize, 32), true), ['Ib', 'eAX']),
  privileged('OUT', 'EE', PRIV.out, port(() => 8, false), ['DX', 'AL'], { size: 'b' }),
  privileged('OUT', 'EF', PRIV.out, port((e) => Math.min(e.opSize, 32), false), ['DX', 'eAX']),
  privileged('RDMSR', '0F 32', PRIV.rdmsr),
  privileged('WRMSR', '0F 30', PRIV.wrmsr),
  privileged('MOV', '0F 20 /r', PRIV.movFromCr, registersReversed, ['Rq64', 'Cq64']),
  privileged('MOV', '0F 22 /r', PRIV.movToCr, registers, ['Cq64', 'Rq64']),
  privileged('MOV', '0F 21 /r', PRIV.movFromDr, registersReversed, ['Rq64', 'Dq64']),
  privileged('MOV', '0F 23 /r', PRIV.movToDr, registers, ['Dq64', 'Rq64']),
  privileged('CLTS', '0F 06', PRIV.clts),
  privileged('INVLPG', '0F 01 /7', PRIV.invlpg, (e) => e.address(), ['Mb'], { size: 'b' }),
  privileged('LGDT', '0F 01 /2', PRIV.lgdt, undefined, ['Mp']),
  privileged('LIDT', '0F 01 /3', PRIV.lidt, undefined, ['Mp']),
  privileged('LMSW', '0F 01 /6', PRIV.lmsw, undefined, ['Ew']),
  privileged('LLDT', '0F 00 /2', PRIV.lldt, undefined, ['Ew']),
  privileged('LTR', '0F 00 /3', PRIV.ltr, undefined, ['Ew']),
  privileged('SWAPGS', '0F 01 F8', PRIV.swapgs, undefined, [], { mode: '64' }),
  privileged('XGETBV', '0F 01 D0', PRIV.xgetbv),
  privileged('XSETBV', '0F 01 D1', PRIV.xsetbv),
  privileged('MONITOR', '0F 01 C8', PRIV.monitor),
  privileged('MWAIT', '0F 01 C9', PRIV.mwait),
  privileged('WBINVD', '0F 09', PRIV.wbinvd),
  privileged('INVD', '0F 08', PRIV.invd),
  privileged('SYSRET', '0F 07', PRIV.sysret),
  privileged('SYSEXIT', '0F 35', PRIV.sysexit),
  privileged('RSM', '0F AA', PRIV.rsm),
  { name: 'VERR', opcode: '0F 00 /4', operands: ['none', 'Ew'], sem: checkSelector(0), flags: 'p', unchecked: 'depends on the system’s descriptors' },
  { name: 'VERW', opcode: '0F 00 /5', operands: ['none', 'Ew'], sem: checkSelector(1), flags: 'p', unchecked: 'depends on the system’s descriptors' },
  { name: 'LAR', opcode: '0F 02 /r', operands: ['Gv', 'Ew'], sem: (e) => e.slow('checkSelector', or(e.read(1, 16), or(i32(2 << 16), shl(e.regNumber(0), i32(24))))), flags: 'p', unchecked: 'depends on the system’s descriptors' },
  { name: 'LSL', opcode: '0F 03 /r', operands: ['Gv', 'Ew'], sem: (e) => e.slow('checkSelector', or(e.read(1, 16), or(i32(3 << 16), shl(e.regNumber(0), i32(24))))), flags: 'p', unchecked: 'depends on the system’s descriptors' },
  { name: 'FXSAVE', opcode: 'NP 0F AE /0', operands: ['M'], sem: (e) => e.slow('fxsave', i32(e.opSize), e.address()) },
  { name: 'FXRSTOR', opcode: 'NP 0F AE /1', operands: ['M'], sem: (e) => e.slow('fxrstor', i32(e.opSize), e.address()) },
  { name: 'LDMXCSR', opcode: 'NP 0F AE /2', operands: ['Md'], sem: ldmxcsr },
  { name: 'STMXCSR', opcode: 'NP 0F AE /3', operands: ['Md'], sem: (e) => e.write(0, e.mxcsr()) },
  ...[0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf].map((n): Row => ({
    name: `ESC ${n.toString(16).toUpperCase()}`, opcode: `${n.toString(16).toUpperCase()} /r`, operands: ['Ex87'], flags: 'p',
    sem: (e) => (!e.isMemory(0) ? e.slow('x87', e.imm(32)) : n === 0xd9 ? controlOrMemory(e) : e.slow('x87', e.imm(32), e.address())),
  })),
  { name: 'FWAIT', opcode: '9B', operands: [], sem: (e) => e.slow('x87', i32(0x9b00)) },
  { name: 'BOUND', opcode: '62 /r', operands: ['Gv', 'M'], mode: 'not64', sem: (e) => e.slow('bound', or(e.regNumber(0), i32(e.opSize << 8)), e.address()), unchecked: 'slow path' },
];
