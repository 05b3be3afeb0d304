// Numbers of the routines that finish an instruction in TypeScript.

import type { SlowName } from '../isa/env.ts';

const NAMES: readonly SlowName[] = ['retFar', 'iret', 'jumpFar', 'callFar', 'jumpPointer', 'callPointer', 'loadSegment', 'loadPointer', 'enter', 'x87', 'fxsave', 'fxrstor', 'emms', 'enterMmx', 'checkSelector', 'unimplemented', 'bound', 'pcmpstr', 'sse'];
export const SLOW = Object.fromEntries(NAMES.map((n, i) => [n, i])) as Record<SlowName, number>;
export const slowName = (n: number): SlowName => NAMES[n] as SlowName;
