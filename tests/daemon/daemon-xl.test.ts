// The words of xl that the daemon answers from what it knows.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '#hosts/node/testing/wait.ts';
import { Daemon, paused } from './daemon-process.ts';

const d = new Daemon(['--cpus', '1']);
after(() => d.remove());
const ok: Daemon['ok'] = (...words) => d.ok(...words);

describe('commands of xl', { timeout: 240_000 }, () => {
  before(async () => {
    await d.start();
    await d.create(paused('anna', { paused: false, cap: 50 }));
    await d.create(paused('bert', { vcpus: 2 }));
    await d.create(paused('carl', { paused: false, cmdline: 'rdinit=/none init=/none', onCrash: 'preserve' }));
  });

  test('info is a list of name and value, or an object', async () => {
    const text = await ok('info'), object = JSON.parse(await ok('info', '--json')) as Record<string, unknown>;
    assert.deepEqual(text.split('\n').map((line) => line.slice(0, 23).trimEnd()), Object.keys(object));
    assert.match(text, /^xen_version            : 4\.17-xenith$/m);
    assert.match(text, /^hw_caps                : [0-9a-f]{8}(:[0-9a-f]{8}){7}$/m);
    assert.deepEqual([object['xen_caps'], object['nr_cpus'], object['xen_pagesize']], ['xen-3.0-x86_64 ', 1, 4096]);
  });

  test('list -v shows uuids and why a domain ended, list -l configurations', async () => {
    await until('carl has crashed', async () => (await d.list())[2]?.state === '----c-');
    const { uuid } = (await d.list())[2] as { uuid: string };
    assert.match(await ok('list', '-v', 'carl'), new RegExp(`\\ncarl .*----c- +\\d+\\.\\d ${uuid} {8}3 {16}-$`));
    assert.match(await ok('list', '-v', 'anna'), / {8}- {16}-$/);
    const long = JSON.parse(await ok('list', '--long', 'anna', 'bert')) as { domid: number; config: { c_info: { name: string }; b_info: { avail_vcpus: number[]; sched_params: unknown } } }[];
    assert.deepEqual(long.map(({ domid, config: { c_info, b_info } }) => [domid, c_info.name, b_info.avail_vcpus, b_info.sched_params]), [[1, 'anna', [0], { weight: 256, cap: 50 }], [2, 'bert', [0, 1], { weight: 256 }]]);
    assert.equal((JSON.parse(await ok('list', '-l')) as unknown[]).length, 4, 'Domain-0 too');
  });

  test('vcpu-list shows each vCPU: those that run, wait, and have never been up', async () => {
    await until('anna waits', async () => (await d.list())[0]?.state === '-b----');
    assert.match(await ok('vcpu-list'), /^Name .*\nanna +1 +0 +0 +-b- +\d+\.\d  all \/ all\nbert +2 +0 +0 +--- +0\.0  all \/ all\nbert +2 +1 +- +--p +0\.0  all \/ all\ncarl +3 +0 +0 +-/);
    const [vcpu, ...more] = JSON.parse(await ok('vcpu-list', '--json', 'anna')) as { name: string; time: number }[];
    assert.deepEqual([vcpu?.name, more], ['anna', []]);
    const { time } = (await d.list())[0] as { time: number };
    assert.ok(Math.abs((vcpu?.time ?? 0) - time) < 0.5, `${vcpu?.time} and ${time}: the only vCPU has all of the domain’s time`);
    assert.match((await d.call('vcpu-list', 'nobody')).err, /nobody: no such domain/);
  });

  test('dmesg has what guests and the hypervisor said, until it is cleared', async () => {
    const text = await ok('dmesg');
    assert.match(text, /^\(XEN\) \[ +\d+\.\d{6}\] Xen version 4\.17-xenith\n/);
    assert.match(text, /^\(XEN\) \[.*\] d1: /m);
    assert.deepEqual(JSON.parse(await ok('dmesg', '--json')), text.split('\n'));
    assert.equal(await ok('dmesg', '-c'), text);
    assert.equal(await ok('dmesg'), '');
  });

  test('sysrq goes where guests look for it', { skip: existsSync('/usr/bin/xenstore-read') ? false : 'no xenstore-read (Debian: xenstore-utils)' }, async () => {
    assert.equal(await ok('sysrq', 'anna', 'h'), '');
    const env = { ...process.env, XENSTORED_PATH: join(d.state, 'xenstored.sock') };
    assert.equal(execFileSync('xenstore-read', ['/local/domain/1/control/sysrq'], { encoding: 'utf8', env }), 'h\n');
  });
  test('sysrq takes one letter', async () => {
    for (const [words, reason] of [[['anna', 'hh'], /one letter/], [['anna', ' '], /one letter/], [['anna', 'é'], /one letter/], [['nobody', 'h'], /no such domain/], [['anna'], /words are missing/], [['0', 'h'], /Domain-0 is the machine/]] as const) {
      const r = await d.call('sysrq', ...words);
      assert.notEqual(r.status, 0);
      assert.match(r.err, reason);
    }
  });

  test('each has its --help', async () => {
    for (const command of ['info', 'dmesg', 'sysrq', 'list', 'vcpu-list']) assert.match(await ok(command, '--help'), new RegExp(`^Usage: xenith ${command} \\[--state DIR\\]`));
  });
});
