// What the pure layers need of the machine that they run on. Implemented under hosts/, one implementation a runtime.

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

export interface Host {
  /** monotonic time in nanoseconds, from any origin */
  now(): number;
  /** wall clock in nanoseconds since 1970-01-01 UTC (a double: good to about 256 ns) */
  wallClock(): number;
  /** fills with random bytes */
  random(into: Uint8Array): void;
  log(level: LogLevel, message: string): void;
}
