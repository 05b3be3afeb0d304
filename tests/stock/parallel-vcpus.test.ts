// Debian's kernel with two vCPUs that run at the same time, under load.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditDomain } from '#hypervisor/testing/audit-domain.ts';
import { nodeHost } from '#hosts/node/host.ts';
import { corpseOf } from '#toolstack/lifecycle/make-domain.ts';
import { World } from '../daemon/world.ts';
import { debianKernel, missingGuests } from './guests.ts';
import { initramfsFile } from './initramfs-file.ts';

/** Programs that are written and executed again and again, so that frames with code are used anew; pipes; processes that come and go. */
const LOAD = `#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t devtmpfs dev /dev
$B mkdir /t
$B mount -t tmpfs t /t
programs() { n=0; while [ $n -lt $2 ]; do n=$((n+1)); $B cp $B /t/busybox$1; /t/busybox$1 echo "$1 $n" >> /t/out$1; $B rm /t/busybox$1; done; }
pipe() { $B dd if=/dev/zero bs=64k count=40 2>/dev/null | $B gzip -c | $B gunzip -c | $B sha1sum >> /t/sums; }
processes() { n=0; while [ $n -lt $1 ]; do n=$((n+1)); (echo $n > /dev/null) & [ $((n % 16)) = 0 ] && wait; done; wait; echo forked >> /t/forked; }
programs a 12 & programs b 12 & programs c 12 & pipe & pipe & pipe & processes 150 & processes 150 & wait
echo "processors $($B grep -c ^processor /proc/cpuinfo)"
for i in a b c; do echo "programs $($B wc -l < /t/out$i) $($B tail -n 1 /t/out$i)"; done
echo "pipes $($B wc -l < /t/sums) $($B sort -u /t/sums | $B wc -l)"
echo "processes $($B wc -l < /t/forked)"
echo "interrupts $($B awk '/^(RES|CAL)/ { n += $2 + $3 } END { print (n > 0) }' /proc/interrupts)"
$B dmesg | $B grep -E 'BUG|Oops|lockup|LOCKUP|self-detected|Bad page|orrupt'
$B poweroff -f
`;

test('Debian’s kernel works on two CPUs at the same time', { skip: missingGuests(), timeout: 280_000 }, async (context) => {
  const w = new World(2);
  context.after(() => w.domains.close());
  const domain = await w.create('smp', 'debian', 'console=hvc0 quiet', { vcpus: 2, memory: 256, kernel: debianKernel('cloud-amd64'), ramdisk: initramfsFile(LOAD), onPoweroff: 'preserve' });
  await w.domains.unpause(domain);
  await w.until('it has ended', () => domain.ended !== undefined);
  const lines = w.output('debian').replaceAll('\r', '').split('\n').filter((line) => /^(processors|programs|pipes|processes|interrupts) |BUG|Oops|lockup|LOCKUP|self-detected|Bad page|orrupt/.test(line));
  assert.deepEqual(lines, ['processors 2', 'programs 12 a 12', 'programs 12 b 12', 'programs 12 c 12', 'pipes 3 1', 'processes 2', 'interrupts 1']);
  assert.deepEqual([domain.ended, [0, 1].every((vcpu) => domain.glance.timeRunning(vcpu) > 0)], ['poweroff', true]);
  assert.deepEqual(auditDomain(corpseOf(domain.domid, domain.capsule, 2, nodeHost(() => {}))), []);
});
