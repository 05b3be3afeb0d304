// The transcendental functions against decimal expansions: each must be the correctly rounded one, in every direction.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromInteger } from './convert.ts';
import { divide } from './arithmetic.ts';
import { type Float80, ONE, bitLength, negate, scaleOf, zero } from './float80.ts';
import { ln2, pi } from './fixed-point.ts';
import { Operation } from './operation.ts';
import { arcTangent, beyondTrigonometry, cosine, exp2Minus1, sine, tangent, yLog2, yLog2Plus1 } from './transcendental.ts';
import { FCW, FSW, ROUNDING } from './words.ts';

const op = new Operation();
const exact = (f: () => Float80): Float80 => { op.begin(FCW.initial); return f(); };
const HALF = exact(() => divide(ONE, fromInteger(2n), op));
const QUARTER = exact(() => divide(ONE, fromInteger(4n), op));
const THREE = fromInteger(3n);

/** Fifty digits after the point, as a fraction over 10^50. */
const DIGITS = 50;
const CASES: readonly { name: string; digits: string; f: () => Float80 }[] = [
  { name: '2^0.5 - 1', digits: '0.41421356237309504880168872420969807856967187537694', f: () => exp2Minus1(HALF, op) },
  { name: '2^-0.5 - 1', digits: '-0.29289321881345247559915563789515096071516406231153', f: () => exp2Minus1(negate(HALF), op) },
  { name: 'log2 3', digits: '1.58496250072115618145373894394781650875981440769248', f: () => yLog2(THREE, ONE, op) },
  { name: 'log2 1.25', digits: '0.32192809488736234787031942948939017586483139302458', f: () => yLog2Plus1(QUARTER, ONE, op) },
  { name: 'atan 0.5', digits: '0.46364760900080611621425623146121440202853705428612', f: () => arcTangent(HALF, ONE, op) },
  { name: 'atan2(1, -2)', digits: '2.67794504458898712224838715181828848216863234510808', f: () => arcTangent(HALF, negate(ONE), op) },
  { name: 'atan2(0, -1)', digits: '3.14159265358979323846264338327950288419716939937510', f: () => arcTangent(zero(0), negate(ONE), op) },
  { name: 'sin 0.5', digits: '0.47942553860420300027328793521557138808180336794060', f: () => sine(HALF, op) },
  { name: 'cos 0.5', digits: '0.87758256189037271611628158260382965199164519710974', f: () => cosine(HALF, op) },
  { name: 'tan 0.5', digits: '0.54630248984379051325517946578028538329755172017979', f: () => tangent(HALF, op).tan },
];

/** Compares a result with the expansion: how many times 2^-200 it is above it, as exact integers. */
function error(v: Float80, digits: string): bigint {
  const shift = BigInt(scaleOf(v) + 200);
  const got = (v.sign ? -v.sig : v.sig) << shift;
  return got - (BigInt(digits.replace('.', '')) << 200n) / 10n ** BigInt(DIGITS);
}
const unit = (v: Float80): bigint => 1n << BigInt(scaleOf(v) + 200);

for (const { name, digits, f } of CASES) {
  test(`${name} is correctly rounded in each direction`, () => {
    for (const rounding of [ROUNDING.nearest, ROUNDING.down, ROUNDING.up, ROUNDING.zero]) {
      op.begin(FCW.initial | rounding << FCW.roundingShift);
      const v = f();
      const e = error(v, digits), away = digits.startsWith('-') ? -e : e;
      assert.equal(op.raised, FSW.pe);
      if (rounding === ROUNDING.nearest) assert.ok(2n * (e < 0n ? -e : e) <= unit(v), `${name} to nearest`);
      else if (rounding === ROUNDING.zero) assert.ok(away < 0n && -away < unit(v), `${name} to zero`);
      else assert.ok((rounding === ROUNDING.down ? e < 0n : e > 0n) && (e < 0n ? -e : e) < unit(v), `${name} directed`);
      assert.equal(op.c1, away > 0n, `${name}: C1 tells that the magnitude was rounded up`);
    }
  });
}

test('the constants keep their bits at every precision', () => {
  assert.equal(pi(62), 0xc90f_daa2_2168_c234n);
  assert.equal(pi(600) >> 538n, pi(62));
  assert.equal(ln2(64), 0xb172_17f7_d1cf_79abn);
  assert.equal(bitLength(pi(1000)), 1002);
});

test('the argument of a sine is reduced by a π of 66 bits', () => {
  const PI: Float80 = { sign: 0, exp: 0x4000, sig: 0xc90f_daa2_2168_c235n };
  op.begin(FCW.initial);
  // as silicon: π rounded to 64 bits is 2^-64 above the 66-bit one (and 0.93 × 2^-64 above π itself)
  assert.deepEqual(sine(PI, op), { sign: 1, exp: 0x3fff - 64, sig: 1n << 63n });
});

test('arguments of 2^63 and above are out of range', () => {
  assert.equal(beyondTrigonometry({ sign: 0, exp: 0x3fff + 63, sig: 1n << 63n }), true);
  assert.equal(beyondTrigonometry({ sign: 1, exp: 0x3fff + 62, sig: (1n << 64n) - 1n }), false);
});
