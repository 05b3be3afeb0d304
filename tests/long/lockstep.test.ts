// The default guest boots and works with each slice executed twice: compiled, and from the same state interpreted. Both
// must leave every byte of the domain alike: registers, flags, memory, what the hypervisor keeps.
//
// Slices end at the same instruction where both look at the budget; where they do not, the interpreter goes on until they
// meet, and what does not meet is counted and not compared.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Capsule } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { CPU, EXIT } from '#machine/cpu-state.ts';
import type { Cpu } from '#machine/cpu.ts';
import { Interpreter, scratchSize } from '#machine/engine/interpreter.ts';
import type { MachineHooks } from '#machine/machine.ts';
import { runDomain, skipToNextTimer } from '#hypervisor/sched.ts';
import { createDomain } from '#toolstack/lifecycle/create-domain.ts';
import { encodeCommand, guestCommandLine, offerCommand } from '#toolstack/lifecycle/default-guest.ts';
import { Store } from '#toolstack/xenstore/store.ts';

/** One slice in so many is executed twice: each costs copies of all memory. */
const EVERY = 2;
/** Executions after which code is compiled. */
const SOON = 30;
/** Fields that say how a slice was executed, not what it did. */
const INCIDENTAL: readonly (readonly [number, number])[] = [[CPU.ccOp, CPU.flags], [CPU.mmu, CPU.mode], [CPU.slice, CPU.slice + 4], [CPU.exitOp, CPU.exitOp + 4], [CPU.quotient, CPU.fxState], [CPU.innermost, CPU.returnsEnd]];

class Lockstep extends Interpreter {
  private readonly checker: Interpreter;
  private readonly before: Uint8Array;
  private readonly after: Uint8Array;
  private slices = 0;
  private isChecking = false;
  compared = 0;
  missed = 0;

  constructor(capsule: Capsule, vcpus: number, hooks: MachineHooks, options: ConstructorParameters<typeof Interpreter>[3] = {}) {
    super(capsule, vcpus, hooks, { ...options, compileAfter: SOON });
    this.checker = new Interpreter(capsule, vcpus, hooks, { ...options, compileAfter: 0, scratch: capsule.scratch + scratchSize(capsule.totalFrames) });
    this.before = new Uint8Array(capsule.scratch);
    this.after = new Uint8Array(capsule.scratch);
  }
  override run(cpu: Cpu, budget: number): number {
    if (this.slices++ % EVERY !== 0) return super.run(cpu, budget);
    const { u8, scratch } = this.capsule;
    this.before.set(u8.subarray(0, scratch));
    const code = super.run(cpu, budget);
    const retired = this.retired(cpu);
    this.after.set(u8.subarray(0, scratch));
    const flags = this.getFlags(cpu);
    u8.set(this.before);
    this.checker.forget();
    this.isChecking = true;
    let other = this.checker.run(cpu, budget);
    while (other === EXIT.budget && this.checker.retired(cpu) < retired) other = this.checker.run(cpu, 1);
    this.isChecking = false;
    if (this.checker.retired(cpu) === retired && other === code) {
      this.compared++;
      assert.equal(this.checker.getFlags(cpu), flags, `flags at ${cpu.rip.toString(16)}`);
      this.compare(cpu);
    } else this.missed++;
    u8.set(this.after);
    return code;
  }
  // what the hypervisor asks of its machine while the checker runs concerns the checker
  override flushTlb(mfn?: number): void { super.flushTlb(mfn); this.checker.flushTlb(mfn); }
  override flushTlbPage(lo: number, hi: number, mfn?: number): void { super.flushTlbPage(lo, hi, mfn); this.checker.flushTlbPage(lo, hi, mfn); }
  override dropBase(mfn: number): void { super.dropBase(mfn); this.checker.dropBase(mfn); }
  override setBase(cpu: Cpu, mfn: number, kernel: boolean): void {
    if (this.isChecking) this.checker.setBase(cpu, mfn, kernel);
    else super.setBase(cpu, mfn, kernel);
  }
  override frameWritten(mfn: number): void { super.frameWritten(mfn); this.checker.frameWritten(mfn); }
  private compare(cpu: Cpu): void {
    const { u8, scratch } = this.capsule;
    for (const [from, to] of INCIDENTAL) u8.set(this.after.subarray(cpu.base + from, cpu.base + to), cpu.base + from);
    if (Buffer.compare(Buffer.from(u8.buffer, 0, scratch), this.after) === 0) return;
    const at = u8.findIndex((b, i) => b !== this.after[i]);
    assert.fail(`at ${cpu.rip.toString(16)}, after ${this.retired(cpu)} instructions: capsule offset ${at.toString(16)} (context ${cpu.base.toString(16)}, frames ${this.capsule.frames.toString(16)}): interpreted ${u8[at]}, compiled ${this.after[at]}`);
  }
}

test('a guest boots and works the same, slice by slice', () => {
  const host: Host = { now: () => 0, wallClock: () => 0, random: (into) => { into.fill(0x5a); }, log: () => undefined };
  let output = '', machine: Lockstep | undefined;
  const image = (name: string): Uint8Array => readFileSync(new URL(`../../guest/dist/${name}`, import.meta.url));
  const store = new Store();
  const command = encodeCommand(['sh', '-c', 'seq 1 2000 | sort -r | md5sum; for i in 1 2 3; do (echo $i | gzip | gunzip) & done; wait; ls -lR /proc/1 /etc | wc -l; dmesg | tail -3']);
  const { domain } = createDomain({
    domid: 1, name: 'lockstep', uuid: '00000000-0000-0000-0000-000000000001', memory: 32, vcpus: 1, deterministic: true,
    kernel: image('vmlinuz-xenith'), initrd: image('initramfs.cpio.gz'), commandLine: guestCommandLine({ command: true, quiet: false, pipe: false, append: '' }),
    machine: { scratchSize: (frames) => 2 * scratchSize(frames), make: (...p) => (machine = new Lockstep(...p)) },
  }, host, store, (bytes) => { output += String.fromCharCode(...bytes); });
  offerCommand(store, 1, command);
  for (let turn = 0; turn < 60_000; turn++) {
    const { reason } = runDomain(domain, 1_000_000);
    if (reason === 'shutdown') break;
    if (reason === 'blocked') assert.ok(skipToNextTimer(domain), output);
  }
  assert.ok(machine);
  console.log(`${machine.compared} slices compared, ${machine.missed} not; ${machine.statistics().promoted} regions`);
  assert.ok(machine.compared > 1000 && machine.missed < machine.compared / 20, output);
});
