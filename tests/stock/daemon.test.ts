// A stock guest in the daemon: what only a full kernel answers.

import { test } from 'node:test';
import { Daemon, paused } from '../daemon/daemon-process.ts';
import { debianKernel, missingGuests } from './guests.ts';
import { initramfsFile } from './initramfs-file.ts';

test('Debian’s kernel obeys xenith sysrq, and goes on after a kill of the daemon', { skip: missingGuests(), timeout: 240_000 }, async (context) => {
  const d = new Daemon();
  context.after(() => d.remove());
  await d.start();
  await d.create(paused('debian', { paused: false, memory: 256, kernel: debianKernel('cloud-amd64'), ramdisk: initramfsFile(), cmdline: 'console=hvc0 sysrq_always_enabled' }));
  await d.kill();
  await d.start();
  await d.converse('debian', '', /user space of 6\.1/);
  await d.ask({ command: 'sysrq', domain: 'debian', key: 'h' });
  await d.converse('debian', '', /sysrq: HELP/);
});
