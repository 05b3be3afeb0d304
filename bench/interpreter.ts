// How fast the interpreter executes loops of guest instructions, in M instructions/s.
// node bench/interpreter.ts [SECONDS]

import { Capsule } from '#base/capsule.ts';
import { CPU, MODE } from '#machine/cpu-state.ts';
import { Interpreter, scratchSize } from '#machine/engine/interpreter.ts';

const CODE = 0x1000_0000n;
const LOOPS: Record<string, string> = {
  // dec rcx; jnz
  'dec jnz': '48 ff c9 75 fb',
  // add rax,rbx; xor rdx,rax; mov rsi,rdx; shr rsi,3; dec rcx; jnz
  'register alu': '48 01 d8 48 31 c2 48 89 d6 48 c1 ee 03 48 ff c9 75 ef',
  // mov rax,[rdi]; add rax,rbx; mov [rdi+8],rax; lea rsi,[rdi+rax]; dec rcx; jnz
  'load store': '48 8b 07 48 01 d8 48 89 47 08 48 8d 34 07 48 ff c9 75 ed',
  // call +; dec rcx; jnz -; jmp start; f: push rbx; pop rbx; ret
  'call push pop ret': 'e8 07 00 00 00 48 ff c9 75 f6 eb f4 53 5b c3',
  // the kernel's loop over the p2m: cmp rdi,r9; jae; mov r8,[r10+rdi*8]; cmp r8,-1; je; ...; cmp esi,r8d; jne; inc edx; inc rdi; cmp edx,eax; jne
  'compare and branch': '48 89 fb 4c 39 cf 73 0f 4d 8b 04 da 49 83 f8 ff 74 0a 4d 85 f0 74 1b 45 31 c0 eb 06 41 b8 01 00 00 00 44 39 c6 75 0b ff c2 48 ff c3 39 c2 75 d3',
};

function machineWith(code: string): Interpreter {
  const frames = 64;
  const capsule = new Capsule(frames, 0, scratchSize(frames));
  const machine = new Interpreter(capsule, 1, { storeWatched: () => false, storeDenied: () => false, rdtsc: () => 0n, random: () => 0n, descriptor: () => -1, unimplemented: (_c, n) => { throw new Error(n); } });
  const entry = (table: number, slot: number, mfn: number): void => { capsule.u64[(capsule.frame(table) >>> 3) + slot] = BigInt(mfn) << 12n | 0x67n; };
  entry(1, 0, 2);
  entry(2, 0, 3);
  entry(3, 0x80, 4);
  for (let i = 0; i < 16; i++) entry(4, i, 8 + i);
  capsule.u8.set(code.split(' ').map((b) => parseInt(b, 16)), capsule.frame(8));
  capsule.u64.fill(0xffff_ffff_ffff_ffffn, capsule.frame(10) >>> 3, capsule.frame(11) >>> 3);
  const cpu = machine.cpus[0];
  if (!cpu) throw new Error('no vCPU');
  machine.setBase(cpu, 1, true);
  cpu.setField32(CPU.mode, MODE.kernel);
  cpu.rip = CODE;
  cpu.set(1, (1n << 62n));
  cpu.set(7, CODE + 0x1000n);
  cpu.set(4, CODE + 0x4000n);
  cpu.set(10, CODE + 0x2000n);
  cpu.set(9, 512n);
  cpu.set(6, 1n);
  cpu.set(0, 1n << 31n);
  return machine;
}

const seconds = Number(process.argv[2] ?? 1.5);
for (const [name, code] of Object.entries(LOOPS)) {
  const machine = machineWith(code);
  const cpu = machine.cpus[0] as NonNullable<(typeof machine.cpus)[0]>;
  let best = 0;
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const before = machine.retired(cpu);
    const start = performance.now();
    if (name === 'compare and branch') { cpu.set(2, 0n); cpu.set(3, 0n); cpu.set(7, 0n); cpu.set(9, 1n << 40n); cpu.set(10, CODE + 0x2000n); cpu.set(0, 400n); cpu.rip = CODE; for (let i = 0; i < 200; i++) { cpu.rip = CODE; cpu.set(2, 0n); cpu.set(7, 0n); machine.run(cpu, 4000); } }
    else machine.run(cpu, 5_000_000);
    best = Math.max(best, (machine.retired(cpu) - before) / (performance.now() - start) / 1000);
  }
  console.log(`${name.padEnd(20)} ${best.toFixed(0)} M instructions/s`);
}
