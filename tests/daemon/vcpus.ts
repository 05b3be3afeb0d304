// A domain of which vCPUs are taken and to which they are given while it runs, as its guest and xl's commands see it.

import assert from 'node:assert/strict';
import type { VcpuInfo } from '#hosts/node/daemon/protocol.ts';
import type { Daemon } from './daemon-process.ts';

/**
 * Linux notices that it has another processor, and leaves it to udev to use it: the shell does that here.
 * @param name a domain of the daemon's with vcpus=2, maxvcpus=4; the daemon has one CPU
 * @param busybox before a command of its guest's: how busybox is called there
 */
export async function changeVcpus(daemon: Daemon, name: string, busybox: string): Promise<void> {
  let asked = 0;
  const inGuest = async (): Promise<number> => Number(new RegExp(`cpus${++asked}=(\\d+)`).exec(await daemon.converse(name, `for i in /sys/devices/system/cpu/cpu*/online; do echo 1 > $i; done; echo cpus${asked}=$(${busybox}grep -c ^processor /proc/cpuinfo)\n`, new RegExp(`cpus${asked}=\\d`)))?.[1]);
  const states = async (): Promise<string> => (await daemon.ask<VcpuInfo[]>({ command: 'vcpus' })).filter((v) => v.name === name).map((v) => (v.cpu === undefined ? '-' : 'on')).join(' ');
  const becomes = async (online: number): Promise<void> => {
    const expected = Array.from({ length: 4 }, (_, i) => (i < online ? 'on' : '-')).join(' ');
    // one that the shell has just found may come and go once more
    await daemon.until(`${online} vCPUs are online`, async () => await inGuest() === online && (await daemon.one(name)).vcpus === online && await states() === expected);
  };
  await becomes(2);
  assert.match((await daemon.call('vcpu-set', name, '4')).err, /You are overcommmitting! You have 1 physical CPUs and want 4 vCPUs!/);
  assert.match((await daemon.call('vcpu-set', '-i', name, '5')).err, /Requested 5 VCPUs, however maxcpus is 4!/);
  assert.match((await daemon.call('vcpu-set', '-i', name, '0')).err, /one vCPU at least/);
  assert.match((await daemon.call('vcpu-set', name, 'many')).err, /many: not a number of vCPUs/);
  await daemon.ok('vcpu-set', '--ignore-host', name, '4');
  await becomes(4);
  await daemon.ok('vcpu-set', name, '1');
  await becomes(1);
  await daemon.ok('vcpu-set', '-i', name, '3');
  await becomes(3);
  assert.match(await daemon.ok('vcpu-list', name), new RegExp(`\\n${name} +\\d+ +3 +- +--p +\\d+\\.\\d +all`));
}
