// Debug keys, from the command to the guest: q makes Linux write its own view of events.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon } from './daemon-process.ts';

const daemon = new Daemon(['--cpus', '2']);

describe('debug-keys', { timeout: 120_000 }, () => {
  before(() => daemon.start());
  after(() => daemon.remove());

  test('q reaches the guests, and leaves them as they were', async () => {
    await daemon.ok('create', 'name="anna"', 'memory=48', 'extra="xen.fifo_events=0"'); // with FIFO events Linux has no use for VIRQ_DEBUG
    await daemon.converse('anna', 'echo re""ady\n', /ready/);
    await daemon.ok('debug-keys', 'hegqrt');
    assert.match(await daemon.converse('anna', 'grep debug /proc/interrupts; echo lo""oked\n', /looked/), /\b1\b.* debug0/);
  });

  test('dmesg has what each key tells of every processor and its domains, in the order in which the keys were pressed', async () => {
    await daemon.ok('create', '-p', 'name="bert"', 'memory=48', 'cpus="1"');
    await daemon.ok('vcpu-pin', 'anna', 'all', '0');
    await daemon.ok('dmesg', '-c');
    await daemon.ok('debug-keys', 'rtq');
    const text = await daemon.ok('dmesg');
    const marks = [
      /'r' pressed -> dump the run queue/, /pCPU 0: credit2, 1 domains/, /domain 1: .* weight=256/, /pCPU 1: credit2, 1 domains/, /domain 2: /, /'t' pressed/, /pCPU 0: host clock (\d+) ns/, /domain 1: real time/,
      /pCPU 1: host clock (\d+) ns/, /'q' pressed/, /General information for domain 1:/, /VCPU0: .*flags=/, /General information for domain 2:/, /flags=\{paused\}/,
    ];
    const lines = text.split('\n');
    let at = 0;
    for (const mark of marks) {
      const found = lines.findIndex((line, i) => i >= at && mark.test(line));
      assert.ok(found >= 0, `${mark} behind line ${at} of ${text}`);
      at = found + 1;
    }
    assert.ok(lines.every((line) => line.startsWith('(XEN) [')));
  });

  test('a key that does nothing is refused', async () => {
    const r = await daemon.call('debug-keys', 'qX');
    assert.equal(r.status, 1);
    assert.match(r.err, /X: there is no such debug key/);
  });
});
