// The default guest, kept when it had started and gone on from: what a user, and a program in it, can tell of that.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Host } from '#base/host.ts';
import { runDomain } from '#hypervisor/sched.ts';
import { createDomain, type CreatedDomain } from '#toolstack/lifecycle/create-domain.ts';
import { encodeCommand, exitStatusOf, type GuestOptions, offerCommand, offerOptions, waitingCommandLine, whenWaiting } from '#toolstack/lifecycle/default-guest.ts';
import { type DomainImage, restoreDomain, saveDomain } from '#toolstack/lifecycle/domain-image.ts';
import { LocalClient } from '#toolstack/xenstore/local-client.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { nodeHost } from '#hosts/node/host.ts';
import { ended, inGuest, start, xenith } from './xenith.ts';

const MEMORY = 64, DAY = 86_400;
const UUIDS = ['11111111-2222-4333-8444-555555555555', '66666666-7777-4888-8999-aaaaaaaaaaaa'] as const;
const dist = (name: string): Uint8Array => readFileSync(new URL(`../../guest/dist/${name}`, import.meta.url));
const options: GuestOptions = { command: true, pipe: false, quiet: true, append: '', hostname: 'copy' };
const realHost = nodeHost(() => {});
const hostAt = (wallClock: () => number): Host => ({ ...realHost, wallClock });

/** Runs a domain until it has ended, or `done`. */
function runUntil({ domain }: CreatedDomain, done: () => boolean): void {
  for (let turns = 0; !domain.isShutDown && !done(); turns++) {
    assert.ok(turns < 20_000, 'it comes to an end');
    const { reason, nextTimer } = runDomain(domain, 10_000_000);
    if (reason !== 'slice' && !done()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, nextTimer === Infinity ? 1000 : 1);
  }
}

function makeImage(vcpus: number): DomainImage {
  const store = new Store();
  let waits = false;
  const created = createDomain({
    domid: 1, name: 'first', uuid: UUIDS[0], kernel: dist('vmlinuz-xenith'), initrd: dist('initramfs.cpio.gz'), commandLine: waitingCommandLine(options), memory: MEMORY, vcpus, deterministic: false, compileAfter: 0,
  }, realHost, store, () => {});
  whenWaiting(store, 1, () => { waits = true; });
  runUntil(created, () => waits && created.domain.vcpus.every((v) => !v.runnable));
  const image = saveDomain(created, MEMORY, store);
  assert.ok(image, 'nothing was under way');
  return { head: JSON.parse(JSON.stringify(image.head)) as DomainImage['head'], pages: image.pages };
}

/** What a command prints in a copy. */
function runCopy({ head, pages }: DomainImage, command: readonly string[], host: Host = realHost): string[] {
  const store = new Store();
  let out = '';
  const read = (into: Uint8Array, from: number): void => { into.set(pages.subarray(from, from + into.length)); };
  const copy = restoreDomain(head, read, { name: 'second', uuid: UUIDS[1], compileAfter: 0 }, host, store, (bytes) => { out += Buffer.from(bytes).toString('latin1'); });
  offerCommand(store, 1, encodeCommand(command));
  offerOptions(store, 1, options, copy.late);
  runUntil(copy, () => false);
  assert.equal(exitStatusOf(store, 1), 0, out);
  assert.equal(new LocalClient(store).read('/local/domain/1/name'), 'second');
  return out.trim().split(/\r?\n/);
}

describe('a copy of a guest that had started', () => {
  const image = makeImage(2);

  test('has random numbers, a UUID and a host name of its own', () => {
    const ask = ['sh', '-c', 'head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/boot_id /sys/hypervisor/uuid; hostname'];
    const [one, two] = [runCopy(image, ask), runCopy(image, ask)];
    assert.notEqual(one[0], two[0]);
    assert.notEqual(one[1], two[1]);
    assert.deepEqual(one.slice(2), [UUIDS[1], 'copy']);
  });

  for (const days of [0, 1, 400, -3]) {
    test(`has the time of day, ${days} days later, and its monotonic clock goes on`, () => {
      let asked = 0;
      const wallClock = (): number => realHost.wallClock() + days * DAY * 1e9;
      const begin = wallClock() / 1e9;
      const [now = '', uptime = ''] = runCopy(image, ['sh', '-c', 'date +%s; cut -d" " -f1 /proc/uptime'], hostAt(() => { asked++; return wallClock(); }));
      assert.ok(asked > 0);
      assert.ok(Number(now) >= Math.floor(begin) - 1 && Number(now) <= wallClock() / 1e9 + 1, `${now} between ${begin} and ${wallClock() / 1e9}`);
      assert.ok(Number(uptime) < 60, uptime);
    });
  }

  test('has all vCPUs and its timers', () => {
    assert.deepEqual(runCopy(image, ['sh', '-c', 'nproc; (sleep 0.2; echo slept) & wait; echo $((6 * 7))']), ['2', 'slept', '42']);
  });
});

describe('the command', () => {
  test('goes on from a started guest, of which --stats counts what comes from there on', async () => {
    await inGuest(['true']);
    const { status, out, err } = await inGuest(['echo', 'hello'], '', ['--stats']);
    assert.deepEqual([status, out], [0, 'hello']);
    const instructions = Number(/^instructions +(\d+)$/m.exec(err)?.[1]);
    assert.ok(instructions > 100_000 && instructions < 10_000_000, err);
  });

  test('boots it when told so', async () => {
    const { status, err } = await inGuest(['true'], '', ['--boot', '--stats']);
    assert.equal(status, 0);
    assert.ok(Number(/^instructions +(\d+)$/m.exec(err)?.[1]) > 30_000_000, err);
    const [machineCode = 0, , tables = 0] = (/^code +(.*)$/m.exec(err)?.[1] ?? '').match(/[\d.]+/g)?.map(Number) ?? [];
    assert.ok(machineCode > 0.5 && tables > 1 && machineCode + tables < 100, err);
  });

  test('says that --boot is not for other kernels', async () => {
    const { status, err } = await xenith(['run', '--boot', '--kernel', 'k']);
    assert.equal(status, 2);
    assert.match(err, /--boot is for the default guest/);
  });

  test('boots when it reboots', async () => {
    const child = start(['run', '--timeout', '60']), result = ended(child);
    let out = '';
    child.stdout.on('data', (bytes: Buffer) => {
      const before = out;
      out += bytes.toString('latin1');
      const prompts = (text: string): number => text.split(':~# ').length - 1;
      if (prompts(out) > prompts(before)) child.stdin.write(prompts(out) === 1 ? 'reboot -f\n' : 'poweroff -f\n');
    });
    const { status, err } = await result;
    assert.equal(status, 0, err);
    assert.match(err, /the guest reboots/);
    assert.match(out.slice(out.indexOf(':~# ')), /Linux version[^]*:~# /);
  });
});
