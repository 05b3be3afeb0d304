// What the pure layers need, from Node.

import { randomFillSync } from 'node:crypto';
import type { Host, LogLevel } from '#base/host.ts';

export function nodeHost(log: (level: LogLevel, message: string) => void): Host {
  return {
    now: () => performance.now() * 1e6,
    wallClock: () => (performance.timeOrigin + performance.now()) * 1e6,
    random: (into) => { randomFillSync(into); },
    log,
  };
}
