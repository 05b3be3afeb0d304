import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EFAULT, EINVAL, ENOSYS } from '#abi/errno.ts';
import { HYPERVISOR, iret_context, multicall_entry } from '#abi/xen.ts';
import { REG } from '#machine/cpu-state.ts';
import { serveHypercall } from './hypercall-table.ts';
import { TrapGuest } from './testing/trap-guest.ts';
import { HYPERCALL_RING, hypercall_record, vcpu_state } from './vcpu.ts';

const ENTRIES = [REG.rdi, REG.rsi, REG.rdx, REG.r10, REG.r8, REG.r9];
/** As the guest does it: registers in, SYSCALL, rax out as a signed number. */
function hypercall(g: TrapGuest, number: bigint | number, ...args: (bigint | number)[]): bigint {
  g.v.cpu.set(REG.rax, BigInt(number));
  args.forEach((a, i) => g.v.cpu.set(ENTRIES[i] as number, BigInt(a)));
  serveHypercall(g.v);
  return BigInt.asIntN(64, g.v.cpu.get(REG.rax));
}

test('arguments come from rdi, rsi, rdx, r10, r8, r9, the result goes to all of rax', () => {
  const g = new TrapGuest();
  assert.equal(hypercall(g, HYPERVISOR.stack_switch, 0xe02b, 0xffff_ffff_8000_5000n), 0n);
  assert.equal(g.v.state.kernel_sp, 0xffff_ffff_8000_5000n);
  assert.equal(hypercall(g, HYPERVISOR.set_debugreg, 1, 0xffff_8880_0000_1000n), 0n);
  assert.equal(hypercall(g, HYPERVISOR.get_debugreg, 1), BigInt.asIntN(64, 0xffff_8880_0000_1000n));
});

test('numbers that are not in the table are -ENOSYS', () => {
  const g = new TrapGuest();
  for (const number of [11, 31, 38, 43, 48, 56, 0xffff_ffff, 1n << 32n, (1n << 32n) + 3n, (1n << 64n) - 1n]) {
    assert.equal(hypercall(g, number), -BigInt(ENOSYS), `hypercall ${number}`);
  }
});

test('every named hypercall answers a number, whatever its arguments', () => {
  for (const [name, number] of Object.entries(HYPERVISOR)) {
    for (const garbage of [0n, 1n, 0x7ff0n, (1n << 64n) - 1n, 0x8000_0000_0000n, 0xffff_8000_0000_0000n, 0xffff_ffff_8000_0ff9n]) {
      const g = new TrapGuest();
      assert.doesNotThrow(() => hypercall(g, number, garbage, garbage, garbage, garbage, garbage, garbage), `${name}(${garbage})`);
    }
  }
});

test('the last hypercalls are on record, with result', () => {
  const g = new TrapGuest();
  for (let i = 0; i < HYPERCALL_RING + 3; i++) hypercall(g, 11, i, i * 2);
  assert.equal(g.v.hypercallCount, HYPERCALL_RING + 3);
  const record = hypercall_record.on(g.fake.capsule.buffer).at(g.v.base + vcpu_state.offset.hypercalls + 2 * hypercall_record.size);
  assert.deepEqual([record.number, record.result, record.arg0, record.arg1, record.rip], [11, -ENOSYS, BigInt(HYPERCALL_RING + 2), BigInt(HYPERCALL_RING * 2 + 4), g.v.cpu.rip]);
});

test('tracing writes a line a call', () => {
  const g = new TrapGuest();
  g.fake.domain.trace.set('hypercalls', true);
  hypercall(g, HYPERVISOR.stack_switch, 1, 2);
  assert.match(g.fake.host.lines.join('\n'), /d1v0 stack_switch\(1, 2, 0, 0\) from ffffffff81001234 = 0/);
});

describe('multicall', () => {
  const list = (g: TrapGuest): bigint => g.va(g.free);
  function write(g: TrapGuest, i: number, op: bigint | number, ...args: (bigint | number)[]): void {
    const at = list(g) + BigInt(i * multicall_entry.size);
    g.setWord(at, BigInt(op));
    g.setWord(at + 8n, 0x5555n);
    for (let n = 0; n < 6; n++) g.setWord(at + BigInt(16 + n * 8), BigInt(args[n] ?? 0));
  }
  const resultOf = (g: TrapGuest, i: number): bigint => BigInt.asIntN(64, g.word(list(g) + BigInt(i * multicall_entry.size + 8)));

  test('makes each call and writes each result', () => {
    const g = new TrapGuest();
    write(g, 0, HYPERVISOR.stack_switch, 0xe02b, 0x1234);
    write(g, 1, 11);
    write(g, 2, HYPERVISOR.multicall, list(g), 1);
    write(g, 3, 1n << 32n);
    write(g, 4, HYPERVISOR.fpu_taskswitch, 1);
    assert.equal(hypercall(g, HYPERVISOR.multicall, list(g), 5), 0n);
    assert.deepEqual([0, 1, 2, 3, 4].map((i) => resultOf(g, i)), [0n, -BigInt(ENOSYS), -BigInt(EINVAL), -BigInt(ENOSYS), 0n]);
    assert.equal(g.v.state.kernel_sp, 0x1234n);
    assert.equal(g.v.state.cr0_ts, 1);
  });
  test('stops at an entry that cannot be read', () => {
    const g = new TrapGuest();
    const last = g.va(256) - 64n;
    g.setWord(last, BigInt(HYPERVISOR.fpu_taskswitch));
    g.setWord(last + 16n, 1n);
    assert.equal(hypercall(g, HYPERVISOR.multicall, last, 2), -BigInt(EFAULT));
    assert.equal(g.v.state.cr0_ts, 1);
  });
  test('refuses a list outside the guest’s address space', () => {
    const g = new TrapGuest();
    for (const address of [0xffff_8000_0000_0000n, 0x8000_0000_0000n, 0xffff_ffff_ffff_fff0n]) assert.equal(hypercall(g, HYPERVISOR.multicall, address, 2), -BigInt(EFAULT));
  });
  test('of none is 0', () => assert.equal(hypercall(new TrapGuest(), HYPERVISOR.multicall, 0x1000, 0), 0n));
  test('leaves a long list to a continuation', () => {
    const g = new TrapGuest();
    for (let i = 0; i < 300; i++) write(g, i, 11);
    const rip = g.v.cpu.rip;
    hypercall(g, HYPERVISOR.multicall, list(g), 300);
    const { cpu } = g.v;
    assert.deepEqual([cpu.rip, cpu.get(REG.rax), cpu.get(REG.rdi), cpu.get(REG.rsi)], [rip - 2n, BigInt(HYPERVISOR.multicall), list(g) + 256n * 64n, 44n]);
    assert.deepEqual([resultOf(g, 255), resultOf(g, 256)], [-BigInt(ENOSYS), 0x5555n]);
    cpu.rip += 2n;
    serveHypercall(g.v);
    assert.equal(cpu.get(REG.rax), 0n);
    assert.equal(resultOf(g, 299), -BigInt(ENOSYS));
  });
  test('a call in it that has to continue does so in its entry', () => {
    const g = new TrapGuest();
    const requests = g.va(g.free + 2);
    const BATCHES = 0x4100;
    for (let i = 0; i < BATCHES; i++) {
      g.setWord(requests + BigInt(i * 16), BigInt(g.mfn(g.free)) * 4096n + 1n); // MMU_MACHPHYS_UPDATE
      g.setWord(requests + BigInt(i * 16 + 8), BigInt(g.free));
    }
    write(g, 0, 11);
    write(g, 1, HYPERVISOR.mmu_update, requests, BATCHES, 0, 0x7ff0);
    write(g, 2, HYPERVISOR.fpu_taskswitch, 1);
    let again = 0;
    for (hypercall(g, HYPERVISOR.multicall, list(g), 3); g.v.cpu.get(REG.rax) === BigInt(HYPERVISOR.multicall); again++) {
      assert.equal(g.v.cpu.get(REG.rdi), list(g) + 64n);
      g.v.cpu.rip += 2n;
      serveHypercall(g.v);
    }
    assert.ok(again > 0);
    assert.deepEqual([resultOf(g, 1), resultOf(g, 2), g.v.state.cr0_ts], [0n, 0n, 1]);
  });
  test('may end in an iret', () => {
    const g = new TrapGuest();
    write(g, 0, HYPERVISOR.iret);
    g.v.cpu.set(REG.rsp, g.kernelSp - 0x200n);
    const frame = { rax: 9n, rip: 0x40_0000n, cs: 0xe033n, rflags: 0x202n, rsp: 0x1000n, ss: 0xe02bn };
    for (const [field, value] of Object.entries(frame)) g.setWord(g.kernelSp - 0x200n + BigInt(iret_context.offset[field as keyof typeof frame]), value);
    assert.equal(hypercall(g, HYPERVISOR.multicall, list(g), 1), 9n);
    assert.equal(g.v.cpu.rip, 0x40_0000n);
    assert.ok(!g.v.cpu.kernelMode);
  });
});
