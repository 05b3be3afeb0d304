// What files say: defaults, each key, and what each key does not take.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig, withWords } from './config-file.ts';
import { domainConfig, type DomainConfigFile } from './domain-config.ts';
import { refusalOf, refusedKeys } from './refused-keys.ts';
import { DEBIAN_GUEST, LARGE_GUEST } from './testing/xl-cases.ts';

const MINIMAL = 'name="g"\nkernel="/k"\nmemory=64\n';
const read = (text: string): ReturnType<typeof domainConfig> => domainConfig(parseConfig(text, 'g.cfg'));
/** The configuration with more lines, the first of which is line 4. */
const more = (text: string): DomainConfigFile => read(MINIMAL + text).config;
const warnings = (text: string): string[] => read(MINIMAL + text).warnings;

test('defaults are xl\'s', () => {
  assert.deepEqual(read(MINIMAL), {
    config: {
      name: 'g', uuid: undefined, kernel: '/k', ramdisk: undefined, commandLine: '', memory: 64, maxmem: 64, vcpus: 1, maxvcpus: 1, cpus: undefined, cpus_soft: undefined,
      cpu_weight: 256, cap: 0, nomigrate: false, on_poweroff: 'destroy', on_reboot: 'restart', on_watchdog: 'destroy', on_crash: 'destroy', on_soft_reset: 'soft-reset', disks: [], vifs: [],
    },
    warnings: [],
  });
});

test('a guest of xen-tools', () => {
  const { config, warnings } = read(DEBIAN_GUEST);
  assert.equal(config.commandLine, 'root=/dev/xvda2 ro elevator=noop');
  assert.equal(config.memory, 512);
  assert.equal(config.on_crash, 'restart');
  assert.deepEqual(config.disks.map(({ target, number }) => [target, number]), [['/dev/vg0/web1-disk', 0xca02], ['/dev/vg0/web1-swap', 0xca01]]);
  assert.equal(config.vifs[0]?.mac, '00:16:3e:35:2a:9c');
  assert.deepEqual(warnings, ['g.cfg:32: warning: “dhcp” is not a key of xl.cfg(5), and is ignored']);
});

test('a large one', () => {
  const { config, warnings } = read(LARGE_GUEST);
  assert.equal(config.name, 'build "farm" 7');
  assert.equal(config.uuid, '3fb78ab6-1c2a-4f9e-8c55-0a1b2c3d4e5f');
  assert.equal(config.commandLine, 'console=hvc0 root=/dev/xvda1 quiet');
  assert.deepEqual([config.memory, config.maxmem, config.vcpus, config.maxvcpus], [512, 1024, 2, 4]);
  assert.deepEqual(config.cpus, [[{ first: 0, last: 0 }, { first: 2, last: 3 }], [{ first: 0, last: 6 }, { first: 8, last: 4095 }], [{ first: 5, last: 5 }]]);
  assert.equal(config.cpus_soft?.length, 4);
  assert.deepEqual(config.disks.map(({ vdev }) => vdev), ['xvda', 'xvdb', 'hdc', 'hdd']);
  assert.deepEqual(config.vifs.map(({ devid }) => devid), [0, 1, 7]);
  assert.deepEqual(warnings, []);
});

describe('the kernel\'s command line', () => {
  const cases = [
    ['', ''], ['root="/dev/xvda"', 'root=/dev/xvda'], ['extra="quiet"', 'quiet'], ['extra="quiet"\nroot="/dev/xvda ro"', 'root=/dev/xvda ro quiet'], ['cmdline="a b"', 'a b'],
    ['cmdline="c"\nroot="r"', 'c'], ['cmdline=""\nextra="e"', ''],
  ] as const;
  for (const [text, expected] of cases) test(JSON.stringify(text), () => assert.equal(more(text).commandLine, expected));
  test('cmdline takes precedence, with a warning', () => assert.deepEqual(warnings('cmdline="c"\nroot="r"\nextra="e"'), [
    'g.cfg:5: warning: root is ignored in favour of cmdline', 'g.cfg:6: warning: extra is ignored in favour of cmdline',
  ]));
});

describe('errors name file, line, key, and what to do', () => {
  const cases: [string, RegExp][] = [
    ['name=["x"]', /^g\.cfg:4: name: is a list, but takes one value/],
    ['name=""', /name: a name has 1 to 255 characters/],
    ['name="a\\nb"', /name: a name has 1 to 255 characters/],
    ['uuid="1234"', /uuid: a UUID is 32 hexadecimal digits/],
    ['uuid="12345678123412341234123456789abc"', /uuid: /],
    ['type="hvm"', /^g\.cfg:4: type: PVH and HVM guests need hardware virtualisation/],
    ['type="pvh"', /type: PVH and HVM/],
    ['type="p"', /type: “p” is not one of pv, pvh, hvm/],
    ['builder="hvm"', /builder: HVM guests need/],
    ['builder="linux"', /builder: “linux” is not one of generic, hvm/],
    ['type="hvm"\nhap=1', /^g\.cfg:4: type/],
    ['kernel=["/k"]', /kernel: is a list/],
    ['memory="lots"', /^g\.cfg:4: memory: “lots” is not a number$/],
    ['memory=08', /memory: “08” is not a number/],
    ['memory="64M"', /memory: “64M” is not a number/],
    ['memory=0', /memory: 0 is not in the range: give a number from 1 to 4095/],
    ['memory="-64"', /memory: -64 is not in the range/],
    ['memory=4096', /memory: 4096 is not in the range/],
    ['memory=99999999999999999999', /memory: “9+” is not a number/],
    ['memory+=64', /memory: \+= does not add numbers/],
    ['memory=[64]', /memory: is a list/],
    ['maxmem=63', /^g\.cfg:4: maxmem: 63 is less than memory, which is 64/],
    ['vcpus=0', /vcpus: 0 is not in the range: give a number from 1 to 32/],
    ['vcpus=33', /vcpus: 33 is not in the range/],
    ['vcpus=4\nmaxvcpus=3', /^g\.cfg:5: maxvcpus: 3 is less than vcpus, which is 4/],
    ['cpus="0-"', /^g\.cfg:4: cpus: “0-” is not a CPU or a range/],
    ['cpus=["0",["1"]]', /cpus: entry 2 is a list, but must be a string/],
    ['cpus_soft="^all"', /cpus_soft: \^all would leave no CPU/],
    ['cpu_weight=0', /cpu_weight: 0 is not in the range: give a number from 1 to 65535/],
    ['nomigrate="yes"', /nomigrate: “yes” is not a number/],
    ['cap=65536', /cap: 65536 is not in the range/],
    ['on_poweroff="explode"', /on_poweroff: “explode” is not one of destroy, restart, rename-restart, preserve, coredump-destroy/],
    ['on_reboot=1', /on_reboot: “1” is not one of/], ['on_watchdog=""', /on_watchdog: /], ['on_crash="Destroy"', /on_crash: /], ['on_soft_reset=[]', /on_soft_reset: is a list/],
    ['disk="/x,raw,xvda,w"', /disk: takes a list: write disk = \[ "…" \]/],
    ['disk=["/x,raw,xvda",\n"/y,raw,d0"]', /^g\.cfg:5: disk: two disks have the vdev d0 \(xvda is the same\)/],
    ['disk=["/x,raw,xvda",\n["/y"]]', /^g\.cfg:5: disk: entry 2 is a list/],
    ['disk=[\n"/x,raw,xvda",\n"/y"\n]', /^g\.cfg:6: disk: “\/y” has no vdev/],
    ['cpus=[\n"0",\n"x"]\nvcpus=2', /^g\.cfg:6: cpus: “x” is not a CPU/],
    ['vif="bridge=br0"', /vif: takes a list/],
    ['vif=["devid=1", ""]', /vif: two interfaces have the devid 1/],
    ['vif=["mac=1"]', /^g\.cfg:4: vif: mac “1” is not six hexadecimal bytes/],
  ];
  for (const [text, message] of cases) test(JSON.stringify(text), () => assert.throws(() => more(text), { name: 'ConfigError', message }));
  test('a name is needed', () => assert.throws(() => read('kernel="/k"'), { message: 'g.cfg:1: the domain has no name: write name = "…"' }));
  test('without a kernel it is the default guest', () => assert.equal(read('name="g"').config.kernel, undefined));
  test('a word behind the file', () => assert.throws(() => domainConfig(withWords(parseConfig(MINIMAL, 'g.cfg'), ['vcpus=2', 'memory="x"'])), { message: 'command line:2: memory: “x” is not a number' }));
});

test('an entry of a list that words lengthened', () => {
  const file = parseConfig(`${MINIMAL}disk = [ "/a" ]\n`, 'g.cfg');
  assert.throws(() => domainConfig(withWords(file, ['disk+=["/b,,xvdb"]'])), { message: /^g\.cfg:4: disk: “\/a” has no vdev/ });
  assert.throws(() => domainConfig(withWords(parseConfig(`${MINIMAL}disk = [ "/a,,xvda" ]\n`, 'g.cfg'), ['disk+=["/b"]'])), { message: /^command line:1: disk: “\/b” has no vdev/ });
});

describe('warnings', () => {
  test('unknown keys', () => assert.deepEqual(warnings('vcpu=2\nconstructor=1'), ['“vcpu”', '“constructor”'].map((key, i) => `g.cfg:${4 + i}: warning: ${key} is not a key of xl.cfg(5), and is ignored`)));
  test('builder', () => assert.deepEqual(warnings('builder="generic"'), ['g.cfg:4: warning: builder is deprecated: write type = "pv"']));
  test('no memory', () => {
    const { config, warnings } = read('name="g"\nkernel="/k"');
    assert.equal(config.memory, 32);
    assert.deepEqual(warnings, ['g.cfg: warning: memory is not given; the domain gets 32 MiB, as with xl']);
  });
  test('more CPU lists than vCPUs', () => {
    assert.deepEqual(warnings('cpus=["0","1"]'), ['g.cfg:4: warning: cpus has 2 entries for 1 vCPUs; the others are ignored']);
    assert.equal(more('cpus=["0","1"]').cpus?.length, 1);
  });
  test('parameters of a vif', () => assert.deepEqual(warnings('vif=["script=vif-route,model=e1000"]'), ['script', 'model'].map((key) => `g.cfg:4: warning: ${key} of a vif has no meaning here, and is ignored`)));
});

describe('refused keys', () => {
  for (const key of refusedKeys()) {
    test(key, () => {
      assert.throws(() => more(`${key} = "x"`), { name: 'ConfigError', message: `g.cfg:4: ${key}: ${refusalOf(key)}; leave the key out` });
      assert.throws(() => more(`${key} = [ "x" ]`), { name: 'ConfigError' });
      assert.deepEqual(warnings(`${key} = 0`), []);
      assert.deepEqual(warnings(`${key} = []`), []);
    });
  }
  test('there are as many as xl.cfg(5) has', () => assert.ok(refusedKeys().length > 110));
});
