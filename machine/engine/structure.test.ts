// Random graphs, reducible or not, written as structured control flow, must be walked as a plain loop walks them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Wasm } from '#base/webassembly.ts';
import { Random } from '../vectors/random.ts';
import { add, and, eqz, i32, ltS, mul, shrU, sub, type Expr } from '../wasm/expr.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { Structure } from './structure.ts';

interface Place { readonly id: number; readonly to: Place[] }

/** Each place mixes its number into a hash; a bit of the hash says where to go on, until the steps are used up. */
function walk(entry: Place, steps: number): number {
  let hash = 1;
  for (let at: Place | undefined = entry; ; steps--) {
    hash = (Math.imul(hash, 31) + at.id) | 0;
    if (at.to.length === 0 || steps <= 0) return hash;
    at = at.to[at.to.length === 1 ? 0 : hash >>> 4 & 1] as Place;
  }
}

function compiled(places: readonly Place[], entry: Place): (steps: number) => number {
  const m = new ModuleBuilder('test');
  const { fn } = m.fn(['i32'], 'i32', 'walk');
  const steps = fn.paramVar(0);
  const hash = fn.var('i32', i32(1));
  const structure = new Structure<Place>(fn, (p) => p.to, (p) => {
    hash.set(add(mul(hash.get, i32(31)), i32(p.id)));
    if (p.to.length === 0) { fn.return(hash.get); return; }
    fn.if(ltS(steps.get, i32(1)), () => fn.return(hash.get));
    steps.set(sub(steps.get, i32(1)));
    const [first, second] = p.to as [Place, Place?];
    const bit: Expr = and(shrU(hash.get, i32(4)), i32(1));
    if (second) fn.if(eqz(bit), () => structure.go(first), () => structure.go(second));
    else structure.go(first);
  });
  structure.emit(places, entry);
  fn.unreachable();
  const { exports } = new Wasm.Instance(new Wasm.Module(m.bytes()), {
    env: { memory: new Wasm.Memory({ initial: 1, maximum: 65536, shared: true }) },
  });
  return exports['walk'] as (steps: number) => number;
}

test('random graphs', () => {
  const random = new Random(2026);
  for (let round = 0; round < 400; round++) {
    const all: Place[] = Array.from({ length: 1 + random.below(12) }, (_, id) => ({ id, to: [] }));
    const any = (): Place => all[random.below(all.length)] as Place;
    for (const p of all) for (let n = random.below(8) === 0 ? 0 : 1 + random.below(2); n > 0; n--) p.to.push(any());
    const entry = all[0] as Place;
    const seen = new Set([entry]);
    for (const p of seen) for (const to of p.to) seen.add(to);
    const f = compiled([...seen], entry);
    for (const steps of [0, 1, 2, 3, 5, 17, 100, 1001]) assert.equal(f(steps), walk(entry, steps), `round ${round}, ${steps} steps`);
  }
});
