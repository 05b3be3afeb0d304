// Disks, interfaces, CPU lists and numbers: what they mean, and what they do not take. What xl makes of the good ones
// is in reference.test.ts.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseCpuList } from './cpu-list.ts';
import { parseDisk } from './disk-spec.ts';
import { parseInteger } from './integer.ts';
import { SpecError } from './settings-reader.ts';
import { parseVif } from './vif-spec.ts';
import { virtualDeviceNumber } from './virtual-device.ts';

const refused = (parse: (text: string) => unknown, text: string, message: RegExp): void => {
  test(`not ${JSON.stringify(text)}`, () => assert.throws(() => parse(text), (e) => e instanceof SpecError && message.test(e.message) || assert.fail(String(e))));
};

describe('numbers', () => {
  const cases: [string, number | undefined][] = [
    ['0', 0], ['10', 10], ['010', 8], ['0x10', 16], ['0XfF', 255], ['-5', -5], ['+5', 5], [' \t7', 7], ['-0', 0], ['9007199254740991', 2 ** 53 - 1],
    ['', undefined], ['08', undefined], ['0x', undefined], ['x', undefined], ['7 ', undefined], ['1e3', undefined], ['1.0', undefined], ['--1', undefined], ['9007199254740992', undefined], ['0x1g', undefined],
  ];
  for (const [text, value] of cases) test(JSON.stringify(text), () => assert.equal(parseInteger(text), value));
});

describe('disks', () => {
  const plain = { target: '/a', format: 'raw', vdev: 'xvda', number: 0xca00, readwrite: true, cdrom: false, discard: undefined, trusted: true } as const;
  test('positional', () => assert.deepEqual(parseDisk('/a,raw,xvda,rw'), plain));
  test('by name', () => assert.deepEqual(parseDisk('vdev=xvda, access=r, format=qcow2, discard, untrusted, target=/a,b=c, d'), { ...plain, target: '/a,b=c, d', format: 'qcow2', readwrite: false, discard: true, trusted: false }));
  test('a CD drive is read-only, with or without a disc', () => {
    assert.deepEqual(parseDisk('/a,,hdc,rw,cdrom'), { ...plain, vdev: 'hdc', number: 22 << 8, readwrite: false, cdrom: true });
    assert.deepEqual(parseDisk('vdev=hdc,devtype=cdrom'), { ...plain, target: '', format: 'empty', vdev: 'hdc', number: 22 << 8, readwrite: false, cdrom: true });
  });
  const bad: [string, RegExp][] = [
    ['', /has no vdev/], ['/a,raw', /has no vdev: write "PATH,raw,xvda,rw"/], ['target=/a,vdev=xvda', /has no vdev/], ['vdev=xvda', /has no target/], ['target=', /has no vdev/], [',raw,xvda,w', /has no target/],
    ['/a,xvda,w', /format “xvda” is not one of raw, qcow, qcow2, vhd, qed, empty/], ['/a , raw , xvda', /format “raw ” is not/], ['/a,raw,xvda,q', /access “q” is not one of r, ro, w, rw/],
    ['/a,raw,xvda,w,x', /one positional parameter too many/], ['/a,raw,disk1,w', /“disk1” is not a virtual device/], ['/a,raw,xvda,w,devtype=floppy', /devtype “floppy”/], ['/a,raw,xvda:floppy', /type “floppy”/],
    ['format=raw,format=vhd,vdev=xvda,target=/a', /format is given twice: raw and vhd/], ['vdev=xvda,vdev=xvdb,target=/a', /vdev is given twice/], ['/a,raw,xvda,target=/b', /target is given twice/],
    ['/a,empty,xvda,w', /has a target and the format empty/], ['size=1,vdev=xvda,target=/a', /“size=1”: unknown parameter/], ['/a=b,raw,xvda', /a target with = in it is given last/], ['constructor=1', /unknown parameter/],
    ['http://x,raw,xvda', /“http:”: unknown prefix/], ['foo:/x,xvda,w', /“foo:”: unknown prefix/], ['qcow2:raw:/x,xvda', /format is given twice/],
    ['iscsi:iqn.x,xvda,w', /no scripts are run/], ['script=block-x,vdev=xvda,target=/a', /no scripts are run/], ['backend=dom1,vdev=xvda,target=/a', /no driver domains/], ['backendtype=standalone', /backendtype “standalone”/],
    ['specification=virtio,vdev=xvda,target=/a', /Xen block devices only/], ['colo,vdev=xvda,target=/a', /COLO/], ['colo-host=x', /COLO/], ['active-disk=x', /COLO/],
  ];
  for (const [text, message] of bad) refused(parseDisk, text, message);
});

describe('virtual devices', () => {
  const cases: [string, number][] = [
    ['xvda', 202 << 8], ['xvda1', 202 << 8 | 1], ['xvdp15', 202 << 8 | 255], ['xvda16', 1 << 28 | 16], ['xvdq', 1 << 28 | 16 << 8], ['xvdaa', 1 << 28 | 26 << 8], ['xvdtq37', 1 << 28 | 536 << 8 | 37], ['d536p37', 1 << 28 | 536 << 8 | 37],
    ['d0', 202 << 8], ['d0p0', 202 << 8], ['d1p2', 202 << 8 | 18], ['sda', 8 << 8], ['sdp15', 8 << 8 | 255], ['hda', 3 << 8], ['hdb63', 3 << 8 | 127], ['hdc2', 22 << 8 | 2], ['hdd', 22 << 8 | 64], ['0xca00', 0xca00], ['51712', 51712], ['0', 0],
  ];
  for (const [text, number] of cases) test(text, () => assert.equal(virtualDeviceNumber(text), number));
  for (const text of ['xvd', 'xvda0', 'xvda01', 'XVDA', 'xvda ', 'd', 'd00', 'sda1x', '-1', '0x20000000', 'xvdzzzzzz', 'floppy', '']) refused(virtualDeviceNumber, text, /is not a virtual device/);
  for (const text of ['hde', 'hda64', 'sdq', 'sda16', 'd1048576', 'xvdzzzzz', 'xvda256']) refused(virtualDeviceNumber, text, /guests have no number for this/);
});

describe('interfaces', () => {
  const plain = { mac: undefined, devid: 2, bridge: undefined, ip: undefined, mtu: undefined, rate: undefined, trusted: true } as const;
  test('empty', () => assert.deepEqual(parseVif('', 2), { vif: plain, ignored: [] }));
  test('all of it', () => assert.deepEqual(parseVif('mac=0:16:3E:0:0:1, bridge=br0,ip=10.0.0.1,mtu=9000,devid=5,untrusted,rate=1MB/s@20ms,type=vif,backend=0,script=x', 2), {
    vif: { mac: '00:16:3e:00:00:01', bridge: 'br0', ip: '10.0.0.1', mtu: 9000, devid: 5, trusted: false, rate: { bytesPerInterval: 20_000, interval: 20_000 } }, ignored: ['script'],
  }));
  const bad: [string, RegExp][] = [
    ['mac=00:16:3e:00:00', /not six hexadecimal bytes/], ['mac=00-16-3e-00-00-01', /not six/], ['mac=100:1:1:1:1:1', /not six/], ['mac=01:00:5e:00:00:01', /multicast/], ['mtu=67', /mtu “67” is not a number from 68 to 65535/],
    ['mtu=big', /mtu “big”/], ['devid=65536', /devid/], ['type=ioemu', /no emulated network cards/], ['backend=dom1', /no driver domains/], ['bogus', /“bogus”: unknown parameter; known are mac/], ['trusted=1', /unknown/], ['constructor=1', /unknown/],
    ['rate=', /is not like 10Mb\/s/], ['rate=1', /is not like/], ['rate=1TB/s', /is not like/], ['rate=0B/s', /not a number from 1/], ['rate=09B/s', /not a number from 1/], ['rate=4294967296B/s', /not a number from 1/], ['rate=1B/s@0ms', /not a number from 1/],
    ['rate=1B/s@5000s', /interval is too long/], ['rate=4294967295GB/s@4294s', /too much/],
  ];
  for (const [text, message] of bad) refused((spec) => parseVif(spec, 0), text, message);
});

describe('CPU lists', () => {
  const cases: [string, [number, number][]][] = [
    ['3', [[3, 3]]], ['0-3', [[0, 3]]], ['0-3,5,^1', [[0, 0], [2, 3], [5, 5]]], ['^1,0-3', [[0, 3]]], ['all', [[0, 4095]]], ['all,^0-7', [[8, 4095]]], ['1,0,2,4095', [[0, 2], [4095, 4095]]], [',,1,', [[1, 1]]], ['0, 1- 2', [[0, 2]]],
  ];
  for (const [text, ranges] of cases) test(JSON.stringify(text), () => assert.deepEqual(parseCpuList(text).map(({ first, last }) => [first, last]), ranges));
  for (const text of ['x', '1-', '-1', '5-3', '1.5', '1-2-3', '^', '0x1', ' ']) refused(parseCpuList, text, /is not a CPU or a range/);
  refused(parseCpuList, '', /names no CPU/);
  refused(parseCpuList, '1,^1', /names no CPU/);
  refused(parseCpuList, 'all,^all', /would leave no CPU/);
  refused(parseCpuList, 'nodes:0-3', /no NUMA nodes/);
  refused(parseCpuList, '^node:1', /no NUMA nodes/);
  refused(parseCpuList, '4096', /below 4096/);
  refused(parseCpuList, '0-99999999999999999999999', /below 4096/);
});
