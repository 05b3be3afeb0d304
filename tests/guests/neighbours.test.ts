// Two domains at once, in real guest code: what one grants, the other maps, copies and transfers (src/neighbours.c).

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Host } from '#base/host.ts';
import { SHUTDOWN } from '#abi/xen.ts';
import { destroyDomain } from '#hypervisor/domain-destroy.ts';
import { DomainRegistry } from '#hypervisor/domain-registry.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { runDomain } from '#hypervisor/sched.ts';
import { createDomain } from '#toolstack/lifecycle/create-domain.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { auditDomain } from './audit.ts';
import { prebuilt } from './build.ts';

const host: Host = { now: () => 0, wallClock: () => 0, random: (into) => { into.fill(0x5a); }, log: () => {} };
const GRANTER = 1, MAPPER = 2;
const TURN = 100_000, TURNS = 2000;

interface Neighbour { readonly domain: Domain; output: string }

function create(domid: number, commandLine: string, peers: DomainRegistry, compileAfter: number): Neighbour {
  const neighbour = { output: '' };
  const { domain } = createDomain({
    domid, name: `guest${domid}`, uuid: `00000000-0000-0000-0000-00000000000${domid}`, kernel: prebuilt('neighbours'), commandLine, memory: 8, vcpus: 1,
    deterministic: true, compileAfter, peers,
  }, host, new Store(), (bytes) => { neighbour.output += String.fromCharCode(...bytes); });
  return Object.assign(neighbour, { domain });
}

function assertAllOk({ domain, output }: Neighbour): void {
  assert.equal(domain.shutdownReason, SHUTDOWN.poweroff, `${domain.crashText ?? 'it did not end'}\n${output}`);
  assert.deepEqual(output.split('\n').filter((line) => line !== '' && !/^(ok \d+ - |1\.\.\d+$)/.test(line)), []);
  assert.match(output, new RegExp(`1\\.\\.${output.split('\n').length - 2}\n$`), 'the plan counts the lines');
}

/** Executions after which code is compiled. */
const ENGINES: Readonly<Record<string, number>> = { interpreted: 0, 'compiled at once': 1, 'compiled soon': 20 };
for (const [engine, compileAfter] of Object.entries(ENGINES)) {
  describe(`neighbours, ${engine}`, () => {
    for (const version of [1, 2]) {
      test(`the granter's table is of version ${version}`, () => {
        const peers = new DomainRegistry();
        const granter = create(GRANTER, `granter peer=${MAPPER} version=${version}`, peers, compileAfter);
        const mapper = create(MAPPER, `mapper peer=${GRANTER} version=${version}`, peers, compileAfter);
        let granterEnded = false;
        for (let turn = 0; turn < TURNS && !mapper.domain.isShutDown; turn++) {
          runDomain(mapper.domain, TURN);
          if (!granterEnded) runDomain(granter.domain, TURN);
          if (turn % 16 === 0) assert.deepEqual([...auditDomain(granter.domain), ...auditDomain(mapper.domain)], []);
          if (granterEnded || !granter.domain.isShutDown) continue;
          granterEnded = true;
          assert.deepEqual(auditDomain(granter.domain), []);
          destroyDomain(granter.domain);
          assert.equal(peers.get(GRANTER), granter.domain, 'its pages are mapped');
        }
        assertAllOk(granter);
        assertAllOk(mapper);
        assert.equal(peers.get(GRANTER), undefined);
        assert.deepEqual(auditDomain(mapper.domain), []);
      });
    }
  });
}
