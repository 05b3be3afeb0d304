// What is printed as xl prints it: columns worked out by hand, and compared with Debian's xl where that is installed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createRequest } from '../create-request.ts';
import { hostInfo } from '../daemon/host-info.ts';
import type { LongInfo, VcpuInfo } from '../daemon/protocol.ts';
import { longList } from './domain-long.ts';
import { domainTable } from './domain-table.ts';
import { vcpuTable } from './vcpu-table.ts';

const UUID = '12345678-1234-1234-1234-123456789abc';
const anna: LongInfo = { domid: 7, name: 'anna', uuid: UUID, memory: 64, target: 64, maxmem: 64, vcpus: 2, maxvcpus: 2, weight: 300, cap: 0, cpu: 1, state: '-b----', time: 12.34, uptime: 5 };
const vcpu: VcpuInfo = { domid: 7, name: 'anna', vcpu: 0, cpu: 1, running: true, blocked: false, time: 12.34, affinity: 'all' };

describe('tables', () => {
  test('list, and list -v with uuid and reason', () => {
    const row = `anna${' '.repeat(36)}     7    64     2     -b----      12.3`;
    assert.equal(domainTable([anna], false).split('\n')[1], row);
    assert.equal(domainTable([anna], true).split('\n')[1], `${row} ${UUID}        -                -`);
    assert.match(domainTable([{ ...anna, shutdownReason: 3 }], true), new RegExp(`${UUID}        3                -\n$`));
  });
  test('vcpu-list', () => {
    assert.deepEqual(vcpuTable([vcpu, { ...vcpu, vcpu: 1, running: false, blocked: true }, { ...vcpu, vcpu: 2, cpu: undefined, running: false, time: 0, affinity: '0-1' }]).split('\n'), [
      `Name${' '.repeat(32)}ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)`,
      `anna${' '.repeat(28)}     7     0     1   r--      12.3  all / all`,
      `anna${' '.repeat(28)}     7     1     1   -b-      12.3  all / all`,
      `anna${' '.repeat(28)}     7     2     -   --p       0.0  0-1 / all`,
      '',
    ]);
  });
});

const XL = '/usr/lib/xen-4.17/bin/xl';
describe('Debian’s xl', { skip: existsSync(XL) ? false : `no ${XL} (Debian: xen-utils-4.17)` }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'xenith-xl-'));
  after(() => rmSync(directory, { recursive: true }));
  const program = readFileSync(XL, 'latin1');

  test('has the same keys of info, in the same columns', () => {
    for (const key of Object.keys(hostInfo(1))) assert.ok(program.includes(`${key.padEnd(23)}:`), key);
  });
  test('has the same heads of columns', () => {
    const [head, more] = domainTable([], true).trimEnd().split('Time(s)') as [string, string];
    assert.ok(program.includes(`${head}Time(s)`));
    assert.ok(program.includes(more));
    const words = ['Name', 'ID', 'VCPU', 'CPU', 'State', 'Time(s)', 'Affinity (Hard / Soft)'], format = '%-32s %5s %5s %5s %5s %9s %s';
    for (const each of [format, ...words]) assert.ok(program.includes(each), each);
    const formatted = words.reduce((line, word) => line.replace(/%(-?)(\d*)s/, (_, left: string, width: string) => (left ? word.padEnd(Number(width)) : word.padStart(Number(width)))), format);
    assert.equal(vcpuTable([]), `${formatted}\n`);
  });

  const shim = join(directory, 'shim.so');
  const source = fileURLToPath(new URL('../../../toolstack/xlcfg/testing/xl-without-xen.c', import.meta.url));
  const hasShim = spawnSync('gcc', ['-O1', '-w', '-o', shim, source, '-shared', '-fPIC'], { stdio: 'ignore' }).status === 0;
  test('gives the same JSON for list --long', { skip: hasShim ? false : 'no gcc, or no libxen-dev' }, () => {
    for (const more of ['vcpus = 1\n', 'vcpus = 1\nkernel = "/k"\nramdisk = "/r"\ncmdline = "a \\"b\\""\n', 'vcpus = 3\ncap = 40\non_crash = "restart"\non_reboot = "destroy"\non_poweroff = "preserve"\n']) {
      const text = `name = "web"\nuuid = "${UUID}"\nmemory = 64\ncpu_weight = 300\n${more.includes('kernel') ? '' : 'kernel = "/k"\n'}${more}`;
      const path = join(directory, 'x.cfg');
      writeFileSync(path, text);
      const { stdout } = spawnSync(XL, ['-N', 'create', path], { env: { ...process.env, LD_PRELOAD: shim }, encoding: 'utf8' });
      const { request } = createRequest([path], false);
      const mine: unknown = JSON.parse(JSON.stringify(longList([{ ...anna, ...request, uuid: UUID }])));
      assert.deepEqual(mine, [{ domid: 7, config: JSON.parse(stdout.slice(stdout.indexOf('{'))) as unknown }]);
    }
  });
});
