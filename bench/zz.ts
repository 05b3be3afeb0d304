import { REG } from '#machine/cpu-state.ts';
import { BASE, FlatMachine } from '#machine/testing/flat-machine.ts';
const m = new FlatMachine(500);
m.put(0, '48 8b 07 48 01 d8 48 89 47 08 48 8d 34 07 55 5d 48 ff c9 75 eb');
m.capsule.u64.fill(0xffff_ffff_ffff_ffffn, m.at(0x2000) >>> 3, m.at(0x3000) >>> 3);
const { cpu } = m;
cpu.rip = BigInt(BASE); cpu.set(REG.rcx, 1n << 62n); cpu.set(REG.rdi, BigInt(BASE + 0x1000)); cpu.set(REG.rsp, BigInt(BASE + 0x4000));
for (let i = 0; i < 50; i++) m.machine.run(cpu, 100_000);
