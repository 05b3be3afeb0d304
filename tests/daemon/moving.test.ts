// Domains that are moved from one physical CPU to the other while they work, and what is left when domains are gone.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { residentMiB } from '#hosts/node/testing/resident-memory.ts';
import { wait } from '#hosts/node/testing/wait.ts';
import { Daemon } from './daemon-process.ts';

const LINES = 60, ROUNDS = 300;
/** The same as the guest computes, all of it in its shell. */
function checksums(): string[] {
  let s = 1;
  return Array.from({ length: LINES }, (_, i) => {
    for (let j = 1; j <= ROUNDS; j++) s = (s * 31 + j) % 1000003;
    return `${i + 1} ${s}`;
  });
}
const PROGRAM = `s=1; i=1; while [ $i -le ${LINES} ]; do j=1; while [ $j -le ${ROUNDS} ]; do s=$(((s*31+j)%1000003)); j=$((j+1)); done; echo L $i $s; i=$((i+1)); done`;

describe('moving', { timeout: 240_000 }, () => {
  const daemon = new Daemon(['--cpus', '2']);
  before(() => daemon.start());
  after(() => daemon.remove());

  test('a guest that is moved while it works, talks and sleeps loses no byte, no event and no time', async () => {
    await daemon.ok('create', 'name="m"', 'memory=48');
    const console = daemon.console('m');
    console.say('stty -echo; echo re""ady\n');
    await console.hear(/ready/);
    console.say(`read a b < /proc/uptime; echo begin; ${PROGRAM}; sleep 1; read c d < /proc/uptime; echo from $a to $c end\n`);
    await console.hear(/begin/);
    const begin = performance.now();
    let moves = 0;
    for (; moves < 50; moves++) {
      await daemon.ask({ command: 'pin', domain: 'm', vcpu: 'all', cpus: String((moves + 1) % 2) });
      if (moves % 2 === 0) await console.hear(new RegExp(`L ${moves / 2 + 1} `));
      else await wait(20);
    }
    const heard = await console.hear(/from .* end/);
    const seconds = (performance.now() - begin) / 1000;
    assert.deepEqual([...heard.matchAll(/L (\d+ \d+)\r?\n/g)].map((m) => m[1]), checksums());
    const [from = NaN, to = NaN] = (/from (.*) to (.*) end/.exec(heard) ?? []).slice(1).map(Number);
    const took = to - from;
    assert.ok(Math.abs(took - seconds) < 3, `the guest counted ${took} s, this clock ${seconds}`);
    assert.equal((await daemon.one('m')).cpu, moves % 2);
    console.close();
  });

  test('memory of domains that are gone is given back', { skip: process.platform !== 'linux' && 'needs /proc' }, async () => {
    const resident = (): number => residentMiB(daemon.pid);
    const names = Array.from({ length: 60 }, (_, i) => `p${i}`);
    await daemon.ok('create', '-p', 'name="first"', 'memory=48');
    const before = resident();
    for (const name of names) await daemon.ok('create', '-p', `name="${name}"`, 'memory=48');
    const added = resident() - before;
    assert.ok(added > 50, `60 domains take ${added} MiB`);
    for (const name of names) await daemon.ok('destroy', name);
    await daemon.until('most of it is given back', async () => resident() - before < added / 4);
  });
});
