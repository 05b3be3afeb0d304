import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TopDomain, TopSample, TopVcpu } from '../daemon/protocol.ts';
import { COLUMNS, topLines, topSummary, type TopOptions } from './top-table.ts';

const OPTIONS: TopOptions = { vcpus: false, engine: false, fullNames: false, repeatHeader: false, sort: 0 };
const vcpu = (id: number, seconds: number, more: Partial<TopVcpu> = {}): TopVcpu => ({
  id, online: true, state: 0, times: [seconds * 1e9, 0, 0, 0], instructions: 0, hypercalls: 0, byHypercall: {}, upcalls: 0, sends: 0, pageFaults: 0, exceptions: 0, tlbMisses: 0, ...more,
});
const MACHINE = { blocks: 10, promoted: 3, resets: 0 };
const domain = (domid: number, name: string, more: Partial<TopDomain> = {}): TopDomain => ({
  domid, name, state: '-b----', time: 0, memory: 65536, maxMemory: 131072, touched: 2048, vcpus: [vcpu(0, 0)], machine: MACHINE, ...more,
});
const ZERO = domain(0, 'Domain-0', { state: 'r-----', time: 9.7, memory: 100_000, maxMemory: undefined, vcpus: [], machine: undefined });
const sample = (time: number, ...domains: TopDomain[]): TopSample => ({ time, version: '4.17-xenith', cpus: 2, mhz: 2000, memory: 1_048_576, free: 524_288, domains: [ZERO, ...domains] });

describe('the table', () => {
  test('has the columns of xentop, as wide as there', () => {
    assert.equal(topLines(sample(0), undefined, OPTIONS).header, '      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID');
  });

  test('has a line for each domain: times between two samples in per cent, memory of the machine’s', () => {
    const before = sample(100, domain(1, 'anna', { time: 10 }));
    const { domains } = topLines(sample(102, domain(1, 'anna', { time: 11.5, state: 'r-----' })), before, OPTIONS);
    assert.deepEqual(domains, [
      '      anna -----r         11   75.0      65536    6.3     131072      12.5     1    0        0        0    0        0        0        0          0          0    0',
      '  Domain-0 -----r          9    0.0     100000    9.5   no limit       n/a     2    0        0        0    0        0        0        0          0          0    0',
    ]);
  });

  test('knows no per cent at first, nor of a domain that has come since', () => {
    const cell = (before?: TopSample): string | undefined => topLines(sample(102, domain(1, 'anna', { time: 50 })), before, OPTIONS).domains[0]?.split(/ +/)[4];
    assert.equal(cell(), '0.0');
    assert.equal(cell(sample(100)), '0.0');
  });

  test('cuts names to ten letters, if they are not wanted in full', () => {
    const s = sample(1, domain(1, 'a-very-long-name'));
    assert.match(topLines(s, undefined, OPTIONS).domains[0] ?? '', /^a-very-lon --b---/);
    const { header, domains } = topLines(s, undefined, { ...OPTIONS, fullNames: true });
    assert.match(domains[0] ?? '', /^a-very-long-name --b--- /);
    assert.equal(header.length, domains[0]?.length);
  });

  test('is in the order of a column: names by the alphabet, numbers from the largest', () => {
    const s = sample(10, domain(1, 'zoe', { time: 5 }), domain(2, 'Anna', { time: 1 }), domain(3, 'bert', { time: 7 }));
    const order = (head: string): string[] => topLines(s, undefined, { ...OPTIONS, sort: COLUMNS.findIndex((c) => c.head === head) }).domains.map((line) => line.trim().split(' ')[0] as string);
    assert.deepEqual(order('NAME'), ['Anna', 'bert', 'Domain-0', 'zoe']);
    assert.deepEqual(order('CPU(sec)'), ['Domain-0', 'bert', 'zoe', 'Anna']);
    assert.deepEqual(order('MAXMEM(k)'), ['Domain-0', 'zoe', 'Anna', 'bert'], 'no limit is more than any');
  });

  test('repeats its header, and shows vCPUs, five to a line, if wanted', () => {
    const s = sample(1, domain(1, 'anna', { vcpus: [...[0, 1, 2, 3, 4, 5].map((i) => vcpu(i, i * 10)), vcpu(6, 0, { online: false })] }), domain(2, 'bert'));
    const { domains, header } = topLines(s, undefined, { ...OPTIONS, vcpus: true, repeatHeader: true });
    assert.equal(domains[1], 'VCPUs(sec):   0:          0s  1:         10s  2:         20s  3:         30s  4:         40s');
    assert.equal(domains[2], '          5:         50s');
    assert.equal(domains[3], header);
    assert.match(domains[4] ?? '', /^ {6}bert/);
  });

  test('shows what the engine did, a second', () => {
    const at = (instructions: number, hypercalls: number): TopDomain => domain(1, 'anna', { vcpus: [vcpu(0, 0, { instructions, hypercalls }), vcpu(1, 0, { instructions, tlbMisses: hypercalls })] });
    const { domains } = topLines(sample(12, at(51e6, 84_000)), sample(10, at(1e6, 4000)), { ...OPTIONS, engine: true });
    assert.equal(domains[1], 'Engine: insn 50.0M/s  hypercalls 40.0k/s  events 0/s  page faults 0/s  TLB misses 40.0k/s  regions 3  touched 2048k');
    assert.equal(domains[3], 'Engine: -');
    assert.match(topLines(sample(12, at(1, 1)), undefined, { ...OPTIONS, engine: true }).domains[1] ?? '', /insn -\/s/);
  });
});

test('the summary counts domains by what they do', () => {
  const s = sample(1, domain(1, 'a'), domain(2, 'b', { state: '--p---' }), domain(3, 'c', { state: '----c-' }), domain(4, 'd', { state: '---s--' }));
  assert.deepEqual(topSummary(s, '12:34:56'), [
    'xenith top - 12:34:56   Xen 4.17-xenith', '5 domains: 1 running, 1 blocked, 1 paused, 1 crashed, 0 dying, 1 shutdown', 'Mem: 1048576k total, 524288k used, 524288k free    CPUs: 2 @ 2000MHz',
  ]);
});
