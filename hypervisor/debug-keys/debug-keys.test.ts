import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVTCHNOP, evtchn_alloc_unbound, evtchn_bind_ipi, evtchn_bind_virq } from '#abi/event-channel.ts';
import { VIRQ } from '#abi/xen.ts';
import { Share } from '../credit.ts';
import { allocUnboundFor, bindBackend } from '../event-backend.ts';
import { do_event_channel_op } from '../event-channel.ts';
import { portIsPending, setPortPending } from '../event-port.ts';
import { pinGrant } from '../grant-backend.ts';
import { DomU } from '../testing/domu.ts';
import { FifoGuest } from '../testing/fifo-guest.ts';
import { grant } from '../testing/grant-domains.ts';
import { setSingleshot } from '../timer.ts';
import { VPF } from '../vcpu.ts';
import { keyHead, pressKey, unknownKey } from './debug-keys.ts';

function press(keys: string, ...units: DomU[]): string[] {
  const lines: string[] = [];
  const domains = units.map(({ domain }, i) => {
    const share = Share.begin(domain.capsule);
    share.charge(i * 1e6);
    return { domain, share, isReady: i === 0 };
  });
  for (const key of keys) {
    if (unknownKey(key) === undefined) lines.push(...keyHead(key));
    pressKey(key, { pcpu: 2, domains, now: 1_000_000 }, (line) => lines.push(line));
  }
  return lines;
}

test('h lists the keys; each says first that it was pressed; unknown ones do nothing', () => {
  const lines = press('h');
  assert.equal(lines[0], "'h' pressed -> show this message");
  assert.deepEqual(lines.slice(1).map((line) => line[6]), ['e', 'g', 'h', 'q', 'r', 't']);
  assert.deepEqual(press('x%'), []);
  assert.equal(unknownKey('qe'), undefined);
  assert.equal(unknownKey('qxe'), 'x');
  assert.equal(unknownKey('constructor'), 'c');
});

test('every key copes with no domain and with one that is new', () => {
  for (const key of 'ehgqrt') {
    assert.ok(press(key).length >= 1);
    assert.ok(press(key, new DomU(3)).length >= 2);
  }
});

test('e: ports with their bits and what is at the other end', () => {
  const u = new DomU(2);
  const port = <A, B>(cmd: number, arg: A, values: B): number => (u.op(do_event_channel_op, cmd, arg as never, values as never).out as unknown as { port: number }).port;
  const [unbound, virq, ipi] = [port(EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: 0x7ff0, remote_dom: 0 }), port(EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 1 }), port(EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 1 })];
  const wired = allocUnboundFor(u.domain, 0);
  bindBackend(u.domain, wired, () => {});
  setPortPending(u.domain, ipi);
  u.vcpu(1).pause(VPF.polling);
  assert.deepEqual(press('e', u).slice(1), [
    'Event channel information for domain 1:', 'Polling vCPUs: {1}', '    port [p/m/s]',
    `       ${unbound} [0/0/0]: s=2 n=0 d=0`, `       ${virq} [0/0/1]: s=5 n=1 v=0`, `       ${ipi} [1/0/1]: s=6 n=1`, `       ${wired} [0/0/0]: s=3 n=0 d=0 p=${wired}`,
  ]);
});

test('e: FIFO channels have a priority in place of a selector', () => {
  const g = new FifoGuest();
  const port = g.bindIpi();
  assert.deepEqual(press('e', g).slice(3), ['    port [p/m/priority]', `       ${port} [0/0/7]: s=6 n=0`]);
});

test('g: grants in use, as pinned and as the guest has them now', () => {
  const u = new DomU();
  assert.deepEqual(press('g', u).slice(1), ['Grant table of domain 1: version 1, 1 frames, 512 entries', '    no grant is in use']);
  const frame = u.guest.mfn(u.free);
  grant(u, 9, u.free, 0);
  assert.ok(pinGrant(u.domain, 9, true) > 0 && pinGrant(u.domain, 9, false) > 0);
  assert.equal(press('g', u).at(-1), `    [  9] d0 0x${frame.toString(16)} 1/1; d0 0x${frame.toString(16)} 0x19`);
});

test('q: domain, memory, vCPUs; and each vCPU that has bound VIRQ_DEBUG gets it', () => {
  const u = new DomU(2);
  const { port } = u.op(do_event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.DEBUG, vcpu: 0 }).out;
  u.v.cpu.rip = 0xffff_ffff_8100_1234n;
  const lines = press('q', u);
  const text = lines.join('\n');
  assert.match(text, /nr_pages=64 max_pages=64 shutdown=-/);
  assert.match(text, /frames by type: l1 1, l2 1, l3 1, l4 1, writable 60; 1 pinned/);
  assert.match(text, /VCPU0: \w+ flags=\{\} upcall_pend=0 upcall_mask=1\n +kernel rip=ffffffff81001234/);
  assert.match(text, /VCPU1: offline flags=\{down\}/);
  assert.match(text, new RegExp(`Notifying guest 1:0 \\(virq 1, port ${port}, stat 0/0\\)`));
  assert.match(text, /Notifying guest 1:1 \(virq 1, port 0, stat -\)/);
  assert.ok(portIsPending(u.domain, port));
});

test('r: who is next, first', () => {
  const lines = press('r', new DomU(), new DomU(2));
  assert.equal(lines[1], 'pCPU 2: credit2, 2 domains, now 1000000');
  assert.match(lines[2] ?? '', /ready weight=256 cap=0 credit=10000000 ran=0$/);
  assert.match(lines[4] ?? '', /waiting weight=256 cap=0 credit=9000000 ran=1000000$/);
  assert.equal(lines[5], '        v0 offline, v1 offline');
});

test('t: clocks and the next timer', () => {
  const u = new DomU();
  assert.match(press('t', u).at(-1) ?? '', /counted instructions, system time 0 ns, tsc 0, next timer none/);
  u.retire(u.v, 1000);
  setSingleshot(u.v, 51_000);
  assert.match(press('t', u).at(-1) ?? '', /system time 1000 ns, tsc 2000, next timer in 50000 ns/);
});
