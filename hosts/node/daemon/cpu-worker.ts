// The worker of cpu-thread.ts: a physical CPU.

import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { CommonFrames } from '#hypervisor/common-frames.ts';
import type { CpuReport, CpuRequest, Mailbox } from '#toolstack/lifecycle/cpu-mail.ts';
import { cpuServices, readMail } from '#toolstack/lifecycle/cpu-services.ts';
import { PhysicalCpu } from '#toolstack/lifecycle/physical-cpu.ts';
import { collectGarbage, collectIfWorthwhile } from '../collect-garbage.ts';
import { NODE_DECOMPRESSORS } from '../decompressors.ts';
import { nodeHost } from '../host.ts';
import { CompilerClient } from '../region-compiler.ts';
import { type CpuWorkerData, ring } from './cpu-thread.ts';

class ThreadMailbox implements Mailbox {
  private readonly data: CpuWorkerData;
  /** the bell when the mail was looked at last: there may be some at first */
  private heard: number;

  constructor(data: CpuWorkerData) {
    this.data = data;
    this.heard = (this.bell - 1) | 0;
  }

  private get bell(): number { return Atomics.load(this.data.bells, this.data.id); }
  get hasMail(): boolean { return this.bell !== this.heard; }
  take(): CpuRequest | undefined {
    this.heard = this.bell;
    return (receiveMessageOnPort(this.data.port) as { message: CpuRequest } | undefined)?.message;
  }
  send(report: CpuReport): void { this.data.port.postMessage(report); }
  async sleep(ns: number): Promise<void> { Atomics.wait(this.data.bells, this.data.id, this.heard, ns / 1e6); }
  wake(cpu: number): void { ring(this.data.bells, cpu); }
  turn(): Promise<void> {
    collectIfWorthwhile();
    return new Promise((done) => { setImmediate(done); });
  }
}

const data = workerData as CpuWorkerData;
const mail = new ThreadMailbox(data);
const host = nodeHost((level, message) => mail.send({ kind: 'log', level, message }));
const compilers = new CompilerClient(data.compiler);
const cpu = new PhysicalCpu(data.id, mail, () => host.now(), CommonFrames.of(host));
const services = cpuServices(cpu, { host, decompressors: NODE_DECOMPRESSORS, compiler: () => compilers.open(), collect: collectGarbage });
await cpu.run(() => readMail(mail, services));
