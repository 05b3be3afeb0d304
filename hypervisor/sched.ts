// Time-sharing the vCPUs that one thread of a domain runs, all of them mostly: round robin in slices of SLICE_NS. A slice ends early when
// something became urgent for another vCPU (an event for it, VCPUOP_up), which then goes first, and when a deadline
// was set that falls within it.
//
// A slice is given to the machine as a number of instructions. Under the real clock that is what the machine has
// lately been doing in the slice's time; under the deterministic clock it follows from nsPerInstruction, so that the
// whole schedule depends on instruction counts and on nothing of the host.
//
// A vCPU that blocked with virtual time standing still is for the caller to see to: it lets back ends do their work
// and then calls skipToNextTimer.

import { RUNSTATE } from '#abi/vcpu.ts';
import { publishCounters, settleCounters } from './counters.ts';
import type { Domain } from './domain.ts';
import { domainSchedOf } from './domain-sched.ts';
import { runVcpu, servedSoFar } from './run.ts';
import { changeRunstate, updateRunstateArea } from './runstate.ts';
import { updateTimeArea } from './time-area.ts';
import { type Clock, clockOf } from './time.ts';
import { nextPeriodic, nextTimer, runPeriodic, runTimers, SLICE_NS } from './timer.ts';
import { schedOf, setCurrent, takePreemption } from './vcpu-sched.ts';
import { UNTRACED } from './trace.ts';
import { type Vcpu, VPF } from './vcpu.ts';

export interface RunResult {
  /** shutdown: for good; blocked: no vCPU can run before `nextTimer` or an event; slice: time is up, call again */
  readonly reason: 'shutdown' | 'blocked' | 'slice';
  /** system time in ns of the domain's next timer; Infinity when none is set */
  readonly nextTimer: number;
}

/** Runs a vCPU for a number of instructions at the most: run.ts; a test puts its own in place of it. */
export type RunVcpu = (v: Vcpu, budget: number) => void;

/**
 * Runs a domain.
 * @param forNs how long, in system time, before it returns to let the host do other things
 */
export function runDomain(domain: Domain, forNs: number, run: RunVcpu = runVcpu): RunResult { return domain.threads.locked(() => runVcpus(domain, forNs, run)); }

function runVcpus(domain: Domain, forNs: number, run: RunVcpu): RunResult {
  const clock = clockOf(domain);
  const end = clock.now() + forNs;
  let previous: Vcpu | undefined;
  let sliceEnd = 0;
  let traced = UNTRACED;
  for (;;) {
    if (!domain.isShutDown) runTimers(domain);
    const now = clock.now();
    const next = domain.isShutDown ? undefined : choose(domain, previous, now < sliceEnd);
    if (previous && previous !== next) scheduleOut(previous, now, traced);
    if (domain.isShutDown) return finish(domain, clock, 'shutdown');
    markRunnable(domain, now);
    if (!next) return finish(domain, clock, 'blocked');
    if (now >= end) {
      if (next === previous) scheduleOut(next, now, traced);
      return finish(domain, clock, 'slice');
    }
    if (next !== previous || now >= sliceEnd) sliceEnd = now + SLICE_NS;
    if (next !== previous) traced = scheduleIn(next, clock, now);
    previous = next;
    runSlice(next, clock, now, Math.min(sliceEnd, end), run);
  }
}

/** Virtual time jumps to the next timer of a domain that is blocked. False when it has none. For deterministic clocks. */
export function skipToNextTimer(domain: Domain): boolean {
  const next = nextTimer(domain);
  if (next === Infinity) return false;
  clockOf(domain).skipTo(next);
  return true;
}

function finish(domain: Domain, clock: Clock, reason: RunResult['reason']): RunResult {
  clock.record();
  publishCounters(domain);
  return { reason, nextTimer: nextTimer(domain) };
}

/** Whose turn it is: who is urgent; else who runs, until the slice is over; else the next in turn. */
function choose(domain: Domain, running: Vcpu | undefined, sliceLeft: boolean): Vcpu | undefined {
  const urgent = takePreemption(domain);
  if (urgent?.runnable) return urgent;
  if (running?.runnable && sliceLeft) return running;
  const { vcpus } = domain.threads;
  const last = vcpus.findLastIndex((v) => v.id <= domainSchedOf(domain).lastVcpu);
  for (let i = 1; i <= vcpus.length; i++) {
    const v = vcpus[(last + i) % vcpus.length] as Vcpu;
    if (v.runnable) return v;
  }
  return undefined;
}

/** @returns what `scheduleOut` takes: a record of the trace */
function scheduleIn(v: Vcpu, clock: Clock, now: number): number {
  domainSchedOf(v.domain).lastVcpu = v.id;
  changeRunstate(v, RUNSTATE.running, now);
  clock.switchTo(v);
  updateRunstateArea(v);
  updateTimeArea(v);
  return v.domain.trace.work ? v.domain.trace.runs(v) : UNTRACED;
}

function scheduleOut(v: Vcpu, now: number, traced: number): void {
  settleCounters(v);
  const state = idleState(v);
  changeRunstate(v, state, now);
  updateRunstateArea(v);
  if (traced !== UNTRACED) v.domain.trace.ran(traced, v, state);
}

function idleState(v: Vcpu): number {
  const flags = v.pauseFlags;
  if (flags & VPF.blocked) return RUNSTATE.blocked;
  return flags === 0 ? RUNSTATE.runnable : RUNSTATE.offline;
}

/** vCPUs that were woken, brought up or stopped since the last look, and do not run. */
function markRunnable(domain: Domain, now: number): void {
  for (const v of domain.threads.vcpus) if (schedOf(v).runstate !== RUNSTATE.running) changeRunstate(v, idleState(v), now);
}

function runSlice(v: Vcpu, clock: Clock, now: number, until: number, run: RunVcpu): void {
  setCurrent(v);
  runPeriodic(v, now);
  const deadline = Math.min(until, nextTimer(v.domain), nextPeriodic(v));
  const budget = Math.max(MIN_BUDGET, Math.round((deadline - now) * instructionsPerNs(v.domain, clock)));
  const before = v.domain.machine.retired(v.cpu);
  const served = servedSoFar(v);
  run(v, budget);
  setCurrent(undefined);
  const retired = v.domain.machine.retired(v.cpu) - before;
  if (!clock.deterministic) measure(v.domain, retired, clock.now() - now);
  else if (retired === 0 && v.runnable) clock.skipTo(deadline); // faults alone must not make time stand still
  else clock.skipTo(now + Math.round((retired + Math.max(0, servedSoFar(v) - served)) * clock.nsPerInstruction)); // nor hypercalls
}

/** Never less than this, so that a vCPU with a deadline at hand makes progress. */
const MIN_BUDGET = 100;

// Speed of the machine under the real clock, in instructions per ns: an estimate that follows what is measured.
const speeds = new WeakMap<Domain, number>();
const FIRST_GUESS = 0.05, SLOWEST = 0.001, FASTEST = 4;

function instructionsPerNs(domain: Domain, clock: Clock): number {
  return clock.deterministic ? 1 / clock.nsPerInstruction : speeds.get(domain) ?? FIRST_GUESS;
}

function measure(domain: Domain, instructions: number, ns: number): void {
  if (ns < SLICE_NS / 100) return; // too short to tell
  const speed = Math.min(FASTEST, Math.max(SLOWEST, instructions / ns));
  speeds.set(domain, 0.75 * (speeds.get(domain) ?? FIRST_GUESS) + 0.25 * speed);
}
