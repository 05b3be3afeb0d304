import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CPU, FLAG, PRIV, REG, SEG } from '#machine/cpu-state.ts';
import { emulatePrivileged } from './privileged.ts';
import { HANDLER, TrapGuest } from './testing/trap-guest.ts';
import { TRAP } from './trap-names.ts';

const START = 0xffff_ffff_8100_1234n;
/** Makes the machine's exit for an instruction of two bytes. */
function emulate(g: TrapGuest, operation: number, arg = 0): void {
  g.v.cpu.setField32(CPU.exitInfo, operation);
  g.v.cpu.setField32(CPU.exitArg, arg);
  emulatePrivileged(g.v);
}
const trapped = (g: TrapGuest): number | undefined => {
  const n = Number(g.v.cpu.rip - HANDLER) / 16;
  return Number.isInteger(n) && n >= 0 && n < 32 ? n : undefined;
};
const result = (g: TrapGuest): string => (trapped(g) === TRAP.gp_fault ? '#GP' : trapped(g) === TRAP.invalid_op ? '#UD' : g.v.cpu.rip === START + 2n ? 'done' : 'lost');
function outcome(operation: number, arg: number, user: boolean, prepare: (g: TrapGuest) => void = () => undefined): string {
  const g = new TrapGuest();
  if (user) g.enterUser(START);
  prepare(g);
  emulate(g, operation, arg);
  return result(g);
}
const port = (n: number, size: number): number => n | (size << 16);

test('what each instruction does in kernel and in user mode', () => {
  const efer = (g: TrapGuest): void => g.v.cpu.set(REG.rcx, 0xc000_0080n);
  const rows: [keyof typeof PRIV, number, string, string][] = [
    ['hlt', 0, '#GP', '#GP'], ['cli', 0, '#GP', '#GP'], ['sti', 0, '#GP', '#GP'], ['in', port(0x42, 1), '#GP', '#GP'], ['out', port(0x42, 1), '#GP', '#GP'],
    ['rdmsr', 0, 'done', '#GP'], ['movFromCr', 0, 'done', '#GP'], ['movFromCr', 8, '#GP', '#GP'], ['movFromDr', 7, 'done', '#GP'], ['movFromDr', 9, '#UD', '#GP'],
    ['movToDr', 7, 'done', '#GP'], ['clts', 0, 'done', '#GP'], ['invlpg', 0, '#GP', '#GP'], ['lgdt', 0, '#GP', '#GP'], ['lidt', 0, '#GP', '#GP'], ['lldt', 0, '#GP', '#GP'],
    ['ltr', 0, '#GP', '#GP'], ['lmsw', 0, '#GP', '#GP'], ['wbinvd', 0, 'done', '#GP'], ['invd', 0, '#GP', '#GP'], ['swapgs', 0, '#GP', '#GP'], ['sysret', 0, '#GP', '#GP'],
    ['sysexit', 0, '#GP', '#GP'], ['cpuid', 0, 'done', 'done'], ['cpuidForced', 0, 'done', 'done'], ['rdpmc', 0, '#GP', '#GP'], ['xsetbv', 0, '#UD', '#UD'],
    ['monitor', 0, '#UD', '#UD'], ['mwait', 0, '#UD', '#UD'], ['rdtscp', 0, '#UD', '#UD'], ['xgetbv', 0, '#UD', '#UD'], ['rsm', 0, '#UD', '#UD'],
  ];
  for (const [name, arg, kernel, user] of rows) {
    assert.equal(outcome(PRIV[name], arg, false, efer), kernel, `${name} in kernel mode`);
    assert.equal(outcome(PRIV[name], arg, true, efer), user, `${name} in user mode`);
  }
});

test('a refusal is #GP(0) on the instruction', () => {
  const g = new TrapGuest();
  emulate(g, PRIV.hlt);
  assert.deepEqual(g.stackWords(4).slice(2), [0n, START]);
});

test('virtual IOPL: CLI, STI and ports', () => {
  for (const [iopl, kernel, user] of [[0x1000, 'done', '#GP'], [0x3000, 'done', 'done']] as const) {
    for (const [operation, arg] of [[PRIV.cli, 0], [PRIV.sti, 0], [PRIV.in, port(0x80, 1)], [PRIV.out, port(0x80, 4)]] as const) {
      assert.equal(outcome(operation, arg, false, (g) => { g.v.state.iopl = iopl; }), kernel);
      assert.equal(outcome(operation, arg, true, (g) => { g.v.state.iopl = iopl; }), user);
    }
  }
});

describe('ports', () => {
  const read = (g: TrapGuest, n: number, size: number): bigint => {
    g.v.state.iopl = 0x1000;
    g.v.cpu.set(REG.rax, 0x1122_3344_5566_7788n);
    emulate(g, PRIV.in, port(n, size));
    return g.v.cpu.get(REG.rax);
  };
  test('read all ones, into al, ax or the whole of rax', () => {
    assert.equal(read(new TrapGuest(), 0x42, 1), 0x1122_3344_5566_77ffn);
    assert.equal(read(new TrapGuest(), 0xcfc, 2), 0x1122_3344_5566_ffffn);
    assert.equal(read(new TrapGuest(), 0xcfc, 4), 0xffff_ffffn);
  });
  test('0xcf8 and 0x70 remember', () => {
    const g = new TrapGuest();
    g.v.state.iopl = 0x1000;
    g.v.cpu.set(REG.rax, 0x8000_0000n);
    emulate(g, PRIV.out, port(0xcf8, 4));
    g.v.cpu.set(REG.rax, 0x12n);
    emulate(g, PRIV.out, port(0x70, 1));
    assert.equal(read(g, 0xcf8, 4), 0x8000_0000n);
    assert.equal(read(g, 0x70, 1), 0x1122_3344_5566_7712n);
    assert.equal(read(g, 0xcf8, 2), 0x1122_3344_5566_ffffn);
  });
  test('the bitmap permits single ports, also to user mode', () => {
    const g = new TrapGuest();
    g.v.state.iobmp = g.va(g.free);
    g.v.state.iobmp_limit = 0x1000;
    g.setWord(g.va(g.free) + 0x80n / 8n, ~0n ^ 1n); // port 0x80
    const attempt = (n: number, size: number): string => {
      g.place(START, g.kernelSp - 0x100n);
      if (g.v.cpu.kernelMode) g.enterUser(START);
      emulate(g, PRIV.in, port(n, size));
      return result(g);
    };
    assert.equal(attempt(0x80, 1), 'done');
    assert.equal(attempt(0x80, 2), '#GP');
    assert.equal(attempt(0x81, 1), '#GP');
    g.v.state.iobmp_limit = 0x80;
    assert.equal(attempt(0x80, 1), '#GP');
    g.v.state.iobmp_limit = 0x1000;
    g.v.state.iobmp = 0x1000n;
    assert.equal(attempt(0x80, 1), '#GP');
  });
});

describe('control registers', () => {
  const readCr = (g: TrapGuest, n: number): bigint => {
    emulate(g, PRIV.movFromCr, n | (REG.rdx << 8));
    return g.v.cpu.get(REG.rdx);
  };
  const writeCr = (g: TrapGuest, n: number, value: bigint): string => {
    g.place(START, g.kernelSp - 0x100n);
    g.v.cpu.set(REG.rdx, value);
    emulate(g, PRIV.movToCr, n | (REG.rdx << 8));
    return result(g);
  };
  test('CR0: only TS changes', () => {
    const g = new TrapGuest();
    assert.equal(readCr(g, 0), 0x8005_0033n);
    assert.equal(writeCr(g, 0, 0x8005_003bn), 'done');
    assert.equal(readCr(g, 0), 0x8005_003bn);
    emulate(g, PRIV.clts);
    assert.equal(readCr(g, 0), 0x8005_0033n);
    assert.equal(writeCr(g, 0, 0x33n), '#GP');
  });
  test('CR2 is the fault address', () => {
    const g = new TrapGuest();
    assert.equal(writeCr(g, 2, 0x1234_5000n), 'done');
    assert.equal(readCr(g, 2), 0x1234_5000n);
  });
  test('CR3 is the kernel’s base table, and takes another valid one', () => {
    const g = new TrapGuest();
    assert.equal(readCr(g, 3), BigInt(g.mfn(g.l4)) << 12n);
    assert.equal(writeCr(g, 3, BigInt(g.mfn(g.l4)) << 12n), 'done');
    assert.equal(writeCr(g, 3, BigInt(g.mfn(g.free)) << 12n), '#GP');
    assert.equal(writeCr(g, 3, 1n << 60n), '#GP');
  });
  test('CR4: DE is the guest’s, the rest stays', () => {
    const g = new TrapGuest();
    assert.equal(readCr(g, 4), 0x620n);
    assert.equal(writeCr(g, 4, 0xffff_ffffn), 'done');
    assert.equal(readCr(g, 4), 0x628n);
  });
});

describe('MSRs', () => {
  const rdmsr = (g: TrapGuest, msr: number): bigint | string => {
    g.place(START, g.kernelSp - 0x100n);
    g.v.cpu.set(REG.rcx, BigInt(msr));
    emulate(g, PRIV.rdmsr);
    return result(g) === 'done' ? (g.v.cpu.get(REG.rdx) << 32n) | g.v.cpu.get(REG.rax) : result(g);
  };
  const wrmsr = (g: TrapGuest, msr: number, value: bigint): string => {
    g.place(START, g.kernelSp - 0x100n);
    g.v.cpu.set(REG.rcx, BigInt(msr));
    g.v.cpu.set(REG.rax, value & 0xffff_ffffn);
    g.v.cpu.set(REG.rdx, value >> 32n);
    emulate(g, PRIV.wrmsr);
    return result(g);
  };
  test('segment bases', () => {
    const g = new TrapGuest();
    for (const msr of [0xc000_0100, 0xc000_0101, 0xc000_0102]) {
      assert.equal(wrmsr(g, msr, 0xffff_8880_1234_5678n), 'done');
      assert.equal(rdmsr(g, msr), 0xffff_8880_1234_5678n);
      assert.equal(wrmsr(g, msr, 0x8000_0000_0000n), '#GP');
    }
    assert.equal(g.v.cpu.segBase(SEG.fs), 0xffff_8880_1234_5678n);
  });
  test('fixed values', () => {
    const g = new TrapGuest();
    assert.equal(rdmsr(g, 0xc000_0080), 0xd01n);
    assert.equal(rdmsr(g, 0x277), 0x0501_0007_0406n);
    assert.equal(rdmsr(g, 0x1b), 0xfee0_0900n);
    assert.equal((rdmsr(g, 0x1a0) as bigint) & 1n, 1n);
  });
  test('unknown ones are #GP; but read as 0 while there is no handler for it', () => {
    const g = new TrapGuest();
    assert.equal(rdmsr(g, 0x1234), '#GP');
    assert.equal(wrmsr(g, 0x1234, 0n), '#GP');
    g.handle(TRAP.gp_fault, 0n, 0);
    assert.equal(rdmsr(g, 0x1234), 0n);
  });
  test('the hypercall page, by the MSR that CPUID names, into writable memory only', () => {
    const g = new TrapGuest();
    assert.equal(wrmsr(g, 0x4000_0000, BigInt(g.mfn(g.free)) << 12n), 'done');
    assert.equal(g.words(g.free)[0], 0xb853_4151);
    for (const bad of [BigInt(g.mfn(g.l4)) << 12n, (BigInt(g.mfn(g.free)) << 12n) | 1n, 1n << 50n, 0n]) assert.equal(wrmsr(g, 0x4000_0000, bad), '#GP');
  });
});

test('an emulated instruction with TF set is followed by its single-step trap', () => {
  const g = new TrapGuest();
  g.fake.machine.setFlags(g.v.cpu, FLAG.tf | FLAG.if);
  emulate(g, PRIV.cpuid);
  assert.equal(trapped(g), TRAP.debug);
  assert.equal(g.stackWords(3)[2], START + 2n);
  assert.ok(g.v.cpu.field64(CPU.dr + 48) & 0x4000n);
});

describe('string I/O', () => {
  function run(g: TrapGuest, code: readonly number[]): void {
    const at = g.va(g.free + 1);
    g.v.cpu.rip = at;
    code.forEach((byte, i) => { g.fake.capsule.u8[g.fake.capsule.frame(g.mfn(g.free + 1)) + i] = byte; });
    emulate(g, PRIV.ins);
  }
  test('REP INSW stores one element an exit until rcx is zero', () => {
    const g = new TrapGuest();
    g.v.state.iopl = 0x1000;
    const { cpu } = g.v;
    cpu.set(REG.rcx, 2n);
    cpu.set(REG.rdx, 0x1f0n);
    cpu.set(REG.rdi, g.va(g.free));
    const code = [0xf3, 0x66, 0x6d];
    run(g, code);
    assert.deepEqual([cpu.get(REG.rcx), cpu.get(REG.rdi), cpu.rip], [1n, g.va(g.free) + 2n, g.va(g.free + 1)]);
    run(g, code);
    assert.deepEqual([cpu.get(REG.rcx), cpu.rip], [0n, g.va(g.free + 1) + 3n]);
    assert.equal(g.word(g.va(g.free)), 0xffff_ffffn);
  });
  test('OUTSB reads memory, downwards with DF', () => {
    const g = new TrapGuest();
    g.v.state.iopl = 0x1000;
    g.v.cpu.set(REG.rdx, 0x70n);
    g.v.cpu.set(REG.rsi, g.va(g.free));
    g.setWord(g.va(g.free), 0x33n);
    g.fake.machine.setFlags(g.v.cpu, FLAG.df | FLAG.if);
    run(g, [0x6e]);
    assert.equal(g.fake.domain.state.cmos_index, 0x33);
    assert.equal(g.v.cpu.get(REG.rsi), g.va(g.free) - 1n);
  });
  test('faults like a store, and needs permission', () => {
    const g = new TrapGuest();
    g.v.cpu.set(REG.rdi, 0x1000n);
    run(g, [0x6c]);
    assert.equal(trapped(g), TRAP.gp_fault);
    g.v.state.iopl = 0x1000;
    run(g, [0x6c]);
    assert.equal(trapped(g), TRAP.page_fault);
    assert.equal(g.v.state.cr2, 0x1000n);
  });
});
