// Two domains at once, in real guest code: what one grants, the other maps, copies and transfers (src/neighbours.c).

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { destroyDomain } from '#hypervisor/domain-destroy.ts';
import { DomainRegistry } from '#hypervisor/domain-registry.ts';
import { auditDomain } from '#hypervisor/testing/audit-domain.ts';
import { endedWell, ENGINES, image } from './expect.ts';
import { Guest } from './run-guest.ts';

const GRANTER = 1, MAPPER = 2;
const TURN = 100_000, TURNS = 2000;

for (const [engine, compileAfter] of Object.entries(ENGINES)) {
  describe(`neighbours, ${engine}`, () => {
    for (const version of [1, 2]) {
      test(`the granter's table is of version ${version}`, () => {
        const peers = new DomainRegistry();
        const granter = new Guest(image('neighbours'), GRANTER, { commandLine: `granter peer=${MAPPER} version=${version}`, compileAfter }, peers);
        const mapper = new Guest(image('neighbours'), MAPPER, { commandLine: `mapper peer=${GRANTER} version=${version}`, compileAfter }, peers);
        let granterEnded = false;
        for (let turn = 0; turn < TURNS && !mapper.domain.isShutDown; turn++) {
          mapper.turn(TURN);
          if (!granterEnded) granter.turn(TURN);
          if (turn % 16 === 0) assert.deepEqual([...auditDomain(granter.domain), ...auditDomain(mapper.domain)], []);
          if (granterEnded || !granter.domain.isShutDown) continue;
          granterEnded = true;
          assert.deepEqual(auditDomain(granter.domain), []);
          destroyDomain(granter.domain);
          assert.equal(peers.get(GRANTER), granter.domain, 'its pages are mapped');
        }
        endedWell(granter.result);
        endedWell(mapper.result);
        assert.equal(peers.get(GRANTER), undefined);
        assert.deepEqual(auditDomain(mapper.domain), []);
      });
    }
  });
}
