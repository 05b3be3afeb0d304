// What a deterministic domain may know of its host: nothing that differs from run to run. Time comes from counted
// instructions (hypervisor/time.ts), so the host's clocks are not asked for anything that the guest sees.

import type { Host } from '#base/host.ts';

/** A host in which randomness repeats and the wall clock stands still; logging, the monotonic clock and freed memory are passed on. */
export function deterministicHost(host: Host): Host {
  let state = 0x9e37_79b9;
  return {
    now: () => host.now(),
    wallClock: () => 0,
    random: (into) => { for (let i = 0; i < into.length; i++) into[i] = (state = xorshift(state)) >>> 24; },
    log: (level, message) => host.log(level, message),
    ...(host.discard ? { discard: host.discard } : {}),
    ...(host.inHugePages ? { inHugePages: host.inHugePages } : {}),
  };
}

/** G. Marsaglia, "Xorshift RNGs" (2003), the 32-bit one with 13, 17, 5. */
function xorshift(x: number): number {
  let y = x ^ (x << 13);
  y ^= y >>> 17;
  return y ^ (y << 5);
}
