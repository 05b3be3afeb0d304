// The trap flag and the debug registers. The expected stops are what an Intel processor (family 6, model 167) does with
// the same code under Linux ptrace.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CPU, EXIT, FLAG, REG } from '../cpu-state.ts';
import { BASE, FlatMachine } from '../testing/flat-machine.ts';

const DATA = 0x5000;
const UD2 = '0f 0b';
const write = (dr: number, len: number): number => 1 << 2 * dr | (1 | len << 2) << 16 + 4 * dr;
const access = (dr: number, len: number): number => 1 << 2 * dr | (3 | len << 2) << 16 + 4 * dr;
const execute = (dr: number): number => 1 << 2 * dr;

interface Setting { readonly dr7?: number; readonly dr0?: number; readonly dr1?: number; readonly tf?: boolean; readonly rcx?: number }
interface Stop { readonly rip: number; readonly rcx?: number; readonly dr6: number; readonly rf?: boolean }

/** A machine with rbx = rsi = data, rdi = data + 0x800, and the breakpoints at offsets from BASE. */
function prepare(code: string, s: Setting): FlatMachine {
  const m = new FlatMachine(0, { descriptor: () => m.at(0xf000) });
  m.put(0xf000, 'ff ff 00 00 00 f3 cf 00'); // a flat data segment
  m.put(0, `${code} ${UD2}`);
  m.cpu.set(REG.rbx, BigInt(BASE + DATA));
  m.cpu.set(REG.rsi, BigInt(BASE + DATA));
  m.cpu.set(REG.rdi, BigInt(BASE + DATA + 0x800));
  m.cpu.set(REG.rcx, BigInt(s.rcx ?? 0x100));
  m.cpu.rip = BigInt(BASE);
  m.cpu.setField64(CPU.dr, BigInt(BASE + (s.dr0 ?? 0)));
  m.cpu.setField64(CPU.dr + 8, BigInt(BASE + (s.dr1 ?? 0)));
  m.cpu.setField64(CPU.dr + 7 * 8, BigInt(s.dr7 ?? 0));
  m.machine.setFlags(m.cpu, 0x202 | (s.tf ? FLAG.tf : 0));
  return m;
}
/** Runs to the next #DB and takes it as an operating system does: RF is set behind an instruction breakpoint. */
function next(m: FlatMachine): Stop | undefined {
  let exit: number = EXIT.budget;
  for (let i = 0; i < 10 && exit === EXIT.budget; i++) exit = m.machine.run(m.cpu, 1000);
  assert.equal(exit, EXIT.exception);
  if (m.cpu.field32(CPU.exitInfo) === 6) return undefined;
  assert.equal(m.cpu.field32(CPU.exitInfo), 1);
  const flags = m.machine.getFlags(m.cpu);
  const stop = { rip: Number(m.cpu.rip) - BASE, rcx: Number(m.cpu.get(REG.rcx)), dr6: m.cpu.field32(CPU.dr + 48), rf: (flags & FLAG.rf) !== 0 };
  m.cpu.setField32(CPU.dr + 48, 0);
  m.machine.setFlags(m.cpu, flags | FLAG.rf);
  return stop;
}
/** Every stop until the end, as far as the expected ones say. */
function stops(name: string, code: string, s: Setting, expected: readonly Stop[]): void {
  test(name, () => {
    const m = prepare(code, s);
    for (const e of expected) {
      const stop = next(m);
      assert.ok(stop, 'a #DB');
      assert.deepEqual(Object.fromEntries(Object.keys(e).map((k) => [k, stop[k as keyof Stop]])), e);
    }
    if (!s.tf) assert.equal(next(m), undefined);
  });
}

stops('a data breakpoint stops a repeated store behind the round that meets it', 'f3 a4', { dr0: DATA + 0x855, dr7: write(0, 0) }, [{ rip: 0, rcx: 0xaa, dr6: 1, rf: true }]);
stops('a data breakpoint on the source of a repeated move', 'f3 a4', { dr0: DATA + 0x55, dr7: access(0, 0) }, [{ rip: 0, rcx: 0xaa, dr6: 1, rf: true }]);
stops('eight bytes are watched', 'f3 48 ab', { dr0: DATA + 0x880, dr7: write(0, 2) }, [{ rip: 0, rcx: 0xef, dr6: 1, rf: true }]);
stops('an instruction breakpoint meets a repeated instruction once', '90 f3 a4', { dr0: 1, dr7: execute(0) }, [{ rip: 1, rcx: 0x100, dr6: 1, rf: false }]);
stops('a data breakpoint and the instruction breakpoint behind it are one exception', 'c6 03 05 90', { dr0: DATA, dr1: 3, dr7: write(0, 0) | execute(1) }, [{ rip: 3, dr6: 3 }]);
stops('an access can meet two breakpoints', '00 03', { dr0: DATA, dr1: DATA, dr7: write(0, 0) | access(1, 0) }, [{ rip: 2, dr6: 3 }]);
stops('a read does not meet a breakpoint on writes', '8a 03', { dr0: DATA, dr7: write(0, 0) }, []);
stops('an operand that reaches into the watched bytes', '89 43 03', { dr0: DATA + 4, dr7: write(0, 3) }, [{ rip: 3, dr6: 1 }]);
stops('a store that is made again only', 'b0 77 0f b0 0b', { dr0: DATA, dr7: write(0, 0) }, [{ rip: 5, dr6: 1 }]);
stops('ENTER does not write where it probes', 'c8 00 01 00', { dr0: 0xfef8, dr7: write(0, 2) }, []);
stops('a breakpoint that is not enabled', 'c6 03 05', { dr0: DATA, dr1: DATA, dr7: write(0, 0) & ~1 | execute(1) }, []);
stops('two instruction breakpoints at one address', '90 90', { dr0: 1, dr1: 1, dr7: execute(0) | execute(1) }, [{ rip: 1, dr6: 3 }]);
stops('a loop to itself meets its breakpoint each time', '90 e2 fe', { dr0: 1, dr7: execute(0), rcx: 3 }, [{ rip: 1, rcx: 3, dr6: 1 }, { rip: 1, rcx: 2, dr6: 1 }, { rip: 1, rcx: 1, dr6: 1 }]);
stops('single steps', 'b0 01 90', { tf: true }, [{ rip: 2, dr6: 0x4000, rf: false }, { rip: 3, dr6: 0x4000 }]);
stops('a single step and a data breakpoint', 'c6 03 05 90', { tf: true, dr0: DATA, dr7: write(0, 0) }, [{ rip: 3, dr6: 0x4001 }, { rip: 4, dr6: 0x4000 }]);
stops('a single step, then the instruction breakpoint', '90 90', { tf: true, dr0: 1, dr7: execute(0) }, [{ rip: 1, dr6: 0x4000 }]);
stops('single steps through a repetition', 'f3 a4 90', { tf: true, rcx: 2 }, [{ rip: 0, rcx: 1, dr6: 0x4000, rf: true }, { rip: 2, rcx: 0, dr6: 0x4000, rf: false }, { rip: 3, dr6: 0x4000 }]);
stops('a repetition of nothing is one step', 'f3 a4 90', { tf: true, rcx: 0 }, [{ rip: 2, dr6: 0x4000 }, { rip: 3, dr6: 0x4000 }]);

const LOAD_SS = '66 c7 03 2b 00 8e 13'; // mov word [rbx],0x2b; mov ss,[rbx]
stops('loading SS holds a data breakpoint off', `${LOAD_SS} 90 90`, { dr0: DATA, dr7: access(0, 0) }, [{ rip: 5, dr6: 1 }, { rip: 8, dr6: 1 }]);
stops('the instruction behind passes its breakpoint', `${LOAD_SS} 90 90 90`, { dr0: DATA, dr1: 7, dr7: access(0, 0) | execute(1) }, [{ rip: 5, dr6: 1 }, { rip: 8, dr6: 1 }]);
stops('the second instruction behind does not', `${LOAD_SS} 90 90 90`, { dr0: DATA, dr1: 8, dr7: access(0, 0) | execute(1) }, [{ rip: 5, dr6: 1 }, { rip: 8, dr6: 3 }]);
stops('loading SS again does not hold off longer', 'b8 2b 00 00 00 8e d0 8e d0 90 90', { tf: true }, [{ rip: 5, dr6: 0x4000 }, { rip: 9, dr6: 0x4000 }, { rip: 10, dr6: 0x4000 }]);
stops('POPF that clears TF is still a step, POPF that sets it is none', '9c 81 24 24 ff fe ff ff 9d 90 9c 81 0c 24 00 01 00 00 9d 90 90', { tf: true },
  [{ rip: 1, dr6: 0x4000 }, { rip: 8, dr6: 0x4000 }, { rip: 9, dr6: 0x4000 }, { rip: 20, dr6: 0x4000 }, { rip: 21, dr6: 0x4000 }]);

test('an instruction breakpoint comes before the fault of fetching', () => {
  const m = prepare('90', { dr0: 0x10000, dr7: execute(0) });
  m.cpu.rip = BigInt(BASE + 0x10000);
  assert.deepEqual(next(m), { rip: 0x10000, rcx: 0x100, dr6: 1, rf: false });
  assert.equal(m.machine.run(m.cpu, 10), EXIT.exception);
  assert.equal(m.cpu.field32(CPU.exitInfo), 14);
});

test('a fault forgets what the instruction touched', () => {
  const m = prepare('a4', { dr0: DATA, dr7: access(0, 0) });
  m.cpu.set(REG.rdi, 0n);
  assert.equal(m.machine.run(m.cpu, 10), EXIT.exception);
  assert.equal(m.cpu.field32(CPU.exitInfo), 14);
  assert.equal(m.cpu.field32(CPU.dr + 48), 0);
  assert.notEqual(m.machine.getFlags(m.cpu) & FLAG.rf, 0);
});

test('with breakpoints a slice ends after its instructions, and they count', () => {
  const m = prepare('48 ff c0 eb fb', { dr0: DATA, dr7: write(0, 0) });
  m.cpu.set(REG.rax, 0n);
  assert.equal(m.machine.run(m.cpu, 100), EXIT.budget);
  assert.equal(m.machine.retired(m.cpu), 100);
  assert.equal(m.cpu.get(REG.rax), 50n);
});

test('a watched page is written through the TLB again when breakpoints are off', () => {
  const m = prepare('c6 03 05', { dr0: DATA, dr7: write(0, 0) });
  assert.equal(next(m)?.dr6, 1);
  m.cpu.setField64(CPU.dr + 56, 0n);
  m.cpu.rip = BigInt(BASE);
  assert.equal(next(m), undefined);
  assert.equal(m.capsule.u8[m.at(DATA)], 5);
});
