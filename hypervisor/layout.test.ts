import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVTCHN_FIFO_NR_CHANNELS } from '#abi/event-channel.ts';
import { grant_entry_v1, grant_full_page, GRANT_STATUS_SIZE } from '#abi/grant-table.ts';
import { DOMAIN_BASE, DOMAIN_SIZE, PAGE_SIZE, VCPU_HV, VCPU_STRIDE } from '#base/capsule.ts';
import { COUNTERS, MACHINE_COUNTERS } from './counters.ts';
import { evtchn, MAX_PORTS } from './event-table.ts';
import { active_grant } from './grant-active.ts';
import { grant_table } from './grant-entry.ts';
import { grant_mapping, NR_HANDLES } from './grant-handles.ts';
import { DOMAIN_STATE, DOMAIN_STATE_SIZE, VCPU_STATE, VCPU_STATE_SIZE, XEN_FRAME } from './layout.ts';
import { foreign_frame, NR_FOREIGN_FRAMES } from './mm/foreign-frames.ts';
import { E820_MAX, E820_TABLE, mm_state } from './mm/mm-state.ts';
import { vcpu_sched } from './vcpu-sched.ts';
import { vcpu_state } from './vcpu.ts';

type Areas = readonly (readonly [name: string, from: number, size: number])[];
const areas = (offsets: Readonly<Record<string, number>>, sizes: Readonly<Record<string, number>>): Areas => Object.entries(offsets).map(([name, from]) => [name, from, sizes[name] as number]);

function assertApart(all: Areas, begin: number, end: number): void {
  let free = begin;
  for (const [name, from, size] of all.toSorted((a, b) => a[1] - b[1])) {
    assert.ok(from >= free, `${name} begins where another area ends`);
    free = from + size;
  }
  assert.ok(free <= end, 'all fit');
}

test('the areas of a domain do not overlap', () => assertApart(areas(DOMAIN_STATE, DOMAIN_STATE_SIZE), DOMAIN_BASE, DOMAIN_BASE + DOMAIN_SIZE));
test('nor do those of a vCPU', () => assertApart(areas(VCPU_STATE, VCPU_STATE_SIZE), VCPU_HV, VCPU_STRIDE));

const { sharedInfo, grantTable, grantFrames, grantStatus, statusFrames, grantActive, foreign, m2p } = XEN_FRAME;
const entries = (size: number): number => grantFrames * PAGE_SIZE / size;
const pages = (bytes: number): number => Math.ceil(bytes / PAGE_SIZE);
const ACTIVE_FRAMES = pages(entries(grant_entry_v1.size) * active_grant.size);
test('nor do Xen\'s frames', () => assertApart([
  ['sharedInfo', sharedInfo, 1], ['grantTable', grantTable, grantFrames], ['grantStatus', grantStatus, statusFrames], ['grantActive', grantActive, ACTIVE_FRAMES],
  ['foreign', foreign, pages(NR_FOREIGN_FRAMES * foreign_frame.size)],
], 1, m2p));

test('what lies in an area fits it', () => {
  const needed: readonly (readonly [needed: number, there: number])[] = [
    [mm_state.size, E820_TABLE - DOMAIN_STATE.mm], [E820_TABLE + E820_MAX * 20, DOMAIN_STATE.mm + DOMAIN_STATE_SIZE.mm],
    [MAX_PORTS * evtchn.size, DOMAIN_STATE_SIZE.eventChannels], [EVTCHN_FIFO_NR_CHANNELS * 4 / PAGE_SIZE * 4, DOMAIN_STATE_SIZE.eventArray],
    [NR_HANDLES * grant_mapping.size, DOMAIN_STATE_SIZE.maptrack], [grant_table.size, DOMAIN_STATE_SIZE.grantTable],
    [entries(grant_full_page.size) * GRANT_STATUS_SIZE, statusFrames * PAGE_SIZE],
    [vcpu_state.size, VCPU_STATE_SIZE.vcpu], [vcpu_sched.size, VCPU_STATE_SIZE.sched], [COUNTERS * 8, VCPU_STATE_SIZE.counters], [MACHINE_COUNTERS * 8, DOMAIN_STATE_SIZE.counters],
  ];
  for (const [i, [size, there]] of needed.entries()) assert.ok(size <= there, `row ${i}: ${size} bytes in ${there}`);
});
