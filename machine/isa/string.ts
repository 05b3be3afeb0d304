// MOVS STOS LODS CMPS SCAS with their repeat prefixes: SDM vol. 2, and vol. 1, 7.3.9. Registers are updated as the
// repetition goes on, so that a fault or an event in the middle finds an instruction that can simply be continued.

import { CPU, EXIT, FLAG, PRIV, REG } from '../cpu-state.ts';
import { add, and, divU, eq, eqz, gtU, i32, i64, leS, load, ltU, mul, ne, or, select, sub, widenU, wrap, type Expr } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

/** rSI or rDI as i64, by the address size. */
const index = (e: Env, r: number): Expr => e.fn.let(e.wideUnsigned(e.reg(r, e.addrSize), e.addrSize));
const setIndex = (e: Env, r: number, v: Expr): void => e.setReg(r, e.addrSize, e.narrow(v, e.addrSize));
const count = (e: Env): Expr => e.fn.let(e.wideUnsigned(e.reg(REG.rcx, e.addrSize), e.addrSize));
const destination = (e: Env, di: Expr): Expr => e.fn.let(e.linear(add(di, e.stringBase(false))));
const source = (e: Env, si: Expr): Expr => e.fn.let(e.linear(add(si, e.stringBase(true))));
const loadAt = (host: Expr, bits: number): Expr => load(bits === 64 ? 'i64' : 'i32', bits, host);

/** Index registers that wrap around below 64 bits: a chunk ends where they do, too. */
const wrapping = (e: Env, ...indexes: Expr[]): Expr[] => (e.addrSize === 64 ? [] : indexes);

/** Elements that a chunk may take: no more than are left, none beyond the page of any address; one when going down, and when the slice is used up, as it is while stepping. */
function chunk(e: Env, left: Expr, bytes: number, addresses: Expr[]): Expr {
  let n: Expr = select(gtU(left, i64(4096)), i32(4096), wrap(left));
  for (const va of addresses) {
    const room = e.fn.let(divU(sub(i32(4096), and(wrap(va), i32(4095))), i32(bytes)));
    const sofar = e.fn.let(n);
    n = select(ltU(room, sofar), room, sofar);
  }
  const fit = e.fn.let(n);
  const single = or(or(ne(and(e.field(CPU.flags), i32(FLAG.df)), i32(0)), leS(e.budget(), i32(0))), or(eqz(fit), eqz(e.wholeSegments())));
  return e.fn.let(select(single, i32(1), fit));
}

/** Runs `body` once, or once for each chunk while rCX is not zero. Body gets the elements left and returns those done. */
function repeat(e: Env, body: (left: Expr) => Expr): void {
  if (!e.rep) { body(i64(1)); return; }
  e.fn.block((done) => {
    e.fn.loop((again) => {
      const left = count(e);
      e.fn.brIf(done, eqz(left));
      const n = body(left);
      const rest = e.fn.let(sub(left, widenU(n)));
      e.setReg(REG.rcx, e.addrSize, e.narrow(rest, e.addrSize));
      e.fn.brIf(done, eqz(rest));
      e.repeatLater();
      e.fn.br(again);
    });
  });
}

const stos = (e: Env): void => {
  const bytes = e.opSize / 8;
  repeat(e, (left) => {
    const di = index(e, REG.rdi);
    const va = destination(e, di);
    const n = chunk(e, left, bytes, [va, ...wrapping(e, di)]);
    const host = e.translate(va, e.opSize, true, 'es');
    const value = e.reg(REG.rax, e.opSize);
    const single = e.fn.let(or(e.isBounce(host), eq(n, i32(1))));
    e.fn.if(single, () => {
      e.fn.store(e.opSize, host, value);
      e.commit(host);
    }, () => {
      if (e.opSize === 8) e.fn.fill(host, value, n);
      else e.fn.if(eqz(value), () => e.fn.fill(host, i32(0), mul(n, i32(bytes))), () => {
        const at = e.fn.var('i32', host);
        const end = e.fn.let(add(host, mul(n, i32(bytes))));
        e.fn.loop((next) => {
          e.fn.store(e.opSize, at.get, value);
          at.set(add(at.get, i32(bytes)));
          e.fn.brIf(next, ltU(at.get, end));
        });
      });
    });
    const done = e.fn.let(select(single, i32(1), n));
    setIndex(e, REG.rdi, add(di, mul(e.stringStep(bytes), widenU(done))));
    return done;
  });
};

const movs = (e: Env): void => {
  const bytes = e.opSize / 8;
  repeat(e, (left) => {
    const si = index(e, REG.rsi);
    const di = index(e, REG.rdi);
    const from = source(e, si);
    const to = destination(e, di);
    const n = chunk(e, left, bytes, [from, to, ...wrapping(e, si, di)]);
    const sourceHost = e.translate(from, e.opSize, false, 'operand');
    const value = e.fn.let(loadAt(sourceHost, e.opSize));
    const sourceBounced = e.fn.let(e.isBounce(sourceHost));
    const host = e.translate(to, e.opSize, true, 'es');
    const single = e.fn.let(or(or(sourceBounced, e.isBounce(host)), eq(n, i32(1))));
    e.fn.if(single, () => {
      e.fn.store(e.opSize, host, value);
      e.commit(host);
    }, () => {
      // forward overlap repeats the pattern, element by element; everything else is one copy
      const size = e.fn.let(mul(n, i32(bytes)));
      e.fn.if(ltU(sub(sub(host, sourceHost), i32(1)), sub(size, i32(1))), () => {
        const at = e.fn.var('i32', i32(0));
        e.fn.loop((next) => {
          e.fn.store(e.opSize, add(host, at.get), loadAt(add(sourceHost, at.get), e.opSize));
          at.set(add(at.get, i32(bytes)));
          e.fn.brIf(next, ltU(at.get, size));
        });
      }, () => e.fn.copy(host, sourceHost, size));
    });
    const done = e.fn.let(select(single, i32(1), n));
    const by = e.fn.let(mul(e.stringStep(bytes), widenU(done)));
    setIndex(e, REG.rsi, add(si, by));
    setIndex(e, REG.rdi, add(di, by));
    return done;
  });
};

const lods = (e: Env): void => repeat(e, () => {
  const si = index(e, REG.rsi);
  const v = e.load(source(e, si), e.opSize);
  e.setReg(REG.rax, e.opSize, v);
  setIndex(e, REG.rsi, add(si, e.stringStep(e.opSize / 8)));
  return i32(1);
});

/**
 * CMPS and SCAS: an element at a time; REPE stops at a difference, REPNE at a match. The element at rDI is read first.
 * A repetition sets the flags when it ends: one that is stopped on its way still has those from before.
 */
const compare = (scan: boolean) => (e: Env): void => {
  const bytes = e.opSize / 8;
  const step = (): { a: Expr; b: Expr } => {
    const di = index(e, REG.rdi);
    const si = scan ? undefined : index(e, REG.rsi);
    const b = e.load(destination(e, di), e.opSize, 'es');
    const a = si ? e.load(source(e, si), e.opSize) : e.reg(REG.rax, e.opSize);
    const by = e.stringStep(bytes);
    if (si) setIndex(e, REG.rsi, add(si, by));
    setIndex(e, REG.rdi, add(di, by));
    return { a, b };
  };
  const setFlags = ({ a, b }: { a: Expr; b: Expr }): void => e.flags.sub(e.opSize, a, b, e.fn.let(e.truncate(sub(a, b), e.opSize)));
  if (!e.rep) { setFlags(step()); return; }
  e.fn.block((done) => {
    e.fn.loop((again) => {
      const left = count(e);
      e.fn.brIf(done, eqz(left));
      const elements = step();
      const same = e.fn.let(eq(elements.a, elements.b));
      const rest = e.fn.let(sub(left, i64(1)));
      e.setReg(REG.rcx, e.addrSize, e.narrow(rest, e.addrSize));
      e.fn.if(or(eqz(rest), e.rep === 'rep' ? eqz(same) : same), () => {
        setFlags(elements);
        e.fn.br(done);
      });
      e.repeatLater();
      e.fn.br(again);
    });
  });
};

const portString = (operation: number) => (e: Env): void => e.exit(EXIT.privileged, operation, or(widenU(e.reg(REG.rdx, 16)), i64(e.opSize / 8 << 16)), true);

const sized = (name: string, byte: string, wide: string, sem: (e: Env) => void, rest: Partial<Row>): Row[] => [
  { name, opcode: byte, operands: [], size: 'b', sem, ...rest },
  { name, opcode: wide, operands: [], sem, ...rest },
];
export const string: readonly Row[] = [
  ...sized('MOVS', 'A4', 'A5', movs, { rep: 'rep' }),
  ...sized('STOS', 'AA', 'AB', stos, { rep: 'rep' }),
  ...sized('LODS', 'AC', 'AD', lods, { rep: 'rep' }),
  ...sized('CMPS', 'A6', 'A7', compare(false), { rep: 'repz', flags: 'p' }),
  ...sized('SCAS', 'AE', 'AF', compare(true), { rep: 'repz', flags: 'p' }),
  ...sized('INS', '6C', '6D', portString(PRIV.ins), { rep: 'rep', ends: true, unchecked: 'privileged' }),
  ...sized('OUTS', '6E', '6F', portString(PRIV.outs), { rep: 'rep', ends: true, unchecked: 'privileged' }),
];
