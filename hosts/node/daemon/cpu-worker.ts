// The worker of cpu-thread.ts: a physical CPU.

import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { CpuReport, CpuRequest, Mailbox } from '#toolstack/lifecycle/cpu-mail.ts';
import { cpuServices, readMail } from '#toolstack/lifecycle/cpu-services.ts';
import { PhysicalCpu } from '#toolstack/lifecycle/physical-cpu.ts';
import { collectGarbage, collectIfWorthwhile } from '../collect-garbage.ts';
import { NODE_DECOMPRESSORS } from '../decompressors.ts';
import { nodeHost } from '../host.ts';
import { CompilerClient } from '../region-compiler.ts';
import type { CpuWorkerData } from './cpu-thread.ts';

class ThreadMailbox implements Mailbox {
  private readonly data: CpuWorkerData;
  private read = 0;

  constructor(data: CpuWorkerData) { this.data = data; }

  get hasMail(): boolean { return Atomics.load(this.data.posted, 0) !== this.read; }
  take(): CpuRequest | undefined {
    const received = receiveMessageOnPort(this.data.port) as { message: CpuRequest } | undefined;
    if (received) this.read = (this.read + 1) | 0;
    return received?.message;
  }
  send(report: CpuReport): void { this.data.port.postMessage(report); }
  async sleep(ns: number): Promise<void> { Atomics.wait(this.data.posted, 0, this.read, ns / 1e6); }
  turn(): Promise<void> {
    collectIfWorthwhile();
    return new Promise((done) => { setImmediate(done); });
  }
}

const data = workerData as CpuWorkerData;
const mail = new ThreadMailbox(data);
const host = nodeHost((level, message) => mail.send({ kind: 'log', level, message }));
const compilers = new CompilerClient(data.compiler);
const cpu = new PhysicalCpu(data.id, mail, () => host.now());
const services = cpuServices(cpu, { host, decompressors: NODE_DECOMPRESSORS, compiler: () => compilers.open(), collect: collectGarbage });
await cpu.run(() => readMail(mail, services));
