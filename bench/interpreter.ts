// How fast interpreter and compiler execute loops of guest instructions, in M instructions/s.
// node bench/interpreter.ts [SECONDS]

import { REG } from '#machine/cpu-state.ts';
import { BASE, FlatMachine } from '#machine/testing/flat-machine.ts';

const LOOPS: Record<string, string> = {
  // dec rcx; jnz
  'dec jnz': '48 ff c9 75 fb',
  // add rax,rbx; xor rdx,rax; mov rsi,rdx; shr rsi,3; dec rcx; jnz
  'register alu': '48 01 d8 48 31 c2 48 89 d6 48 c1 ee 03 48 ff c9 75 ef',
  // mov rax,[rdi]; add rax,rbx; mov [rdi+8],rax; lea rsi,[rdi+rax]; dec rcx; jnz
  'load store': '48 8b 07 48 01 d8 48 89 47 08 48 8d 34 07 48 ff c9 75 ed',
  // call +; dec rcx; jnz -; jmp start; f: push rbx; pop rbx; ret
  'call push pop ret': 'e8 07 00 00 00 48 ff c9 75 f6 eb f4 53 5b c3',
  // test rbx,rbx; jnz +; cmp eax,edx; je -; inc rbx; xor eax,eax; cmp rcx,rbx; jne start
  'compare and branch': '48 85 db 75 04 39 d0 74 02 90 90 48 ff c3 31 c0 48 39 d9 75 eb',
};

function machineWith(code: string, compileAfter: number): FlatMachine {
  const m = new FlatMachine(compileAfter);
  m.put(0, code);
  m.capsule.u64.fill(0xffff_ffff_ffff_ffffn, m.at(0x2000) >>> 3, m.at(0x3000) >>> 3);
  const { cpu } = m;
  cpu.rip = BigInt(BASE);
  cpu.set(REG.rcx, 1n << 62n);
  cpu.set(REG.rdi, BigInt(BASE + 0x1000));
  cpu.set(REG.rsp, BigInt(BASE + 0x4000));
  return m;
}

const seconds = Number(process.argv[2] ?? 1.5);
for (const [name, code] of Object.entries(LOOPS)) for (const engine of ['interpreter', 'compiler']) {
  const { machine, cpu } = machineWith(code, engine === 'compiler' ? 500 : 0);
  let best = 0;
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const before = machine.retired(cpu);
    const start = performance.now();
    for (let i = 0; i < 50; i++) machine.run(cpu, 100_000); // slices as a domain has them
    best = Math.max(best, (machine.retired(cpu) - before) / (performance.now() - start) / 1000);
  }
  console.log(`${name.padEnd(20)} ${engine.padEnd(12)} ${best.toFixed(0)} M instructions/s`);
}
