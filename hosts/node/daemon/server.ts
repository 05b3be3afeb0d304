// Serves the local API (protocol.ts) on a unix socket.

import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { BuilderError } from '#toolstack/builder/builder-error.ts';
import { DomainError, type Domains, type Log } from '#toolstack/lifecycle/domains.ts';
import { setMaxMemory, setMemoryTarget, setVcpus } from '#toolstack/lifecycle/resize.ts';
import { OutputError, writeOutput } from '../output-file.ts';
import { listenPrivately } from '../private-socket.ts';
import { checkedRequest } from './checked-request.ts';
import { alreadyRuns, DaemonError, stateTrouble } from './daemon-error.ts';
import { domainZero, infoOf, longInfoOf, vcpusOf } from './domain-info.ts';
import { affinityOf } from './domain-spec.ts';
import { hostInfo } from './host-info.ts';
import type { KeptDomains } from './kept-domains.ts';
import type { LogRing } from './log-ring.ts';
import type { Answer, Request } from './protocol.ts';
import { takeTrace } from './take-trace.ts';
import { topSample } from './top-sample.ts';

const LONGEST_REQUEST = 64 << 10;
/** Bytes of a console that wait for a slow reader before it is cut off. */
const MOST_BACKLOG = 16 << 20;

/** What the requests are about. */
export interface Machine {
  readonly domains: Domains;
  readonly kept: KeptDomains;
  /** what the hypervisor said */
  readonly ring: LogRing;
  readonly log: Log;
}

export class ApiServer {
  private readonly machine: Machine;
  private readonly path: string;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(machine: Machine, path: string) {
    this.machine = machine;
    this.path = path;
    this.server = createServer((socket) => this.accept(socket));
  }

  /** @throws DaemonError */
  async listen(): Promise<void> {
    if (await answers(this.path)) throw alreadyRuns(dirname(this.path));
    try {
      await listenPrivately(this.server, this.path);
    } catch (error) {
      throw stateTrouble(error, this.path);
    }
  }
  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    rmSync(this.path, { force: true });
  }

  private accept(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let head = Buffer.alloc(0);
    const read = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf(10);
      const isLong = (end < 0 ? head.length : end) > LONGEST_REQUEST;
      if (end < 0 && !isLong) return;
      socket.off('data', read);
      if (isLong) return answer(socket, { ok: false, error: 'the request is too long' });
      void this.serve(socket, head.subarray(0, end).toString(), head.subarray(end + 1));
    };
    socket.on('data', read);
  }
  private async serve(socket: Socket, line: string, rest: Buffer): Promise<void> {
    try {
      const request = parsed(line);
      if (request.command === 'console') return await this.console(socket, request.domain, rest);
      answer(socket, { ok: true, result: await this.perform(request) });
    } catch (error) {
      const { message, stack = message } = error as Error;
      if (error instanceof DaemonError) this.machine.log(message, 'error');
      else if (!(error instanceof DomainError || error instanceof BuilderError || error instanceof OutputError || error instanceof SyntaxError)) this.machine.log(stack, 'error');
      answer(socket, { ok: false, error: message });
    }
  }
  private async perform(request: Exclude<Request, { command: 'console' }>): Promise<unknown> {
    const { domains, kept, ring } = this.machine;
    switch (request.command) {
      case 'list': return [domainZero(domains), ...domains.list().map((d) => infoOf(d, domains.now()))];
      case 'list-long': return [domainZero(domains), ...domains.list().map((d) => longInfoOf(d, domains.now()))];
      case 'vcpus': return domains.list().flatMap((d) => vcpusOf(d, domains));
      case 'top': return topSample(domains, request.touched);
      case 'info': return hostInfo(domains.cpuCount);
      case 'dmesg': return readRing(ring, request.clear);
      case 'create': return infoOf(await kept.create(checkedRequest(request.create)), domains.now());
      case 'rename': domains.rename(await domains.find(request.domain), request.name); return null;
      case 'share': await domains.setShare(await domains.find(request.domain), request.weight, request.cap); return null;
      case 'pin': await domains.pin(await domains.find(request.domain), request.vcpu, affinityOf(request.cpus)); return null;
      case 'mem-set':
      case 'mem-max':
      case 'vcpu-set': {
        const domain = await domains.find(request.domain);
        if (request.command === 'vcpu-set') setVcpus(domains, domain, request.vcpus, request.ignoreHost);
        else await (request.command === 'mem-set' ? setMemoryTarget : setMaxMemory)(domains, domain, request.kib);
        return infoOf(domain, domains.now());
      }
      case 'destroy': await kept.destroy(request.domain); return null;
      case 'dump-core': {
        const { file, live, crash } = request;
        await domains.dumpCore(await domains.find(request.domain), (pieces) => writeOutput('core file', file, pieces), { live, crash });
        return null;
      }
      case 'debug-keys': await domains.debugKeys(request.keys); return null;
      case 'trace': await takeTrace(domains, request.seconds, request.file); return null;
      case 'pause': await domains.pause(await domains.find(request.domain)); return null;
      case 'unpause': await domains.unpause(await domains.find(request.domain)); return null;
      case 'shutdown': domains.request(await domains.find(request.domain), 'poweroff'); return null;
      case 'reboot': domains.request(await domains.find(request.domain), 'reboot'); return null;
      case 'sysrq': domains.control(await domains.find(request.domain), 'sysrq', sysrqKey(request.key)); return null;
      default: throw new DomainError(`${(request as { command: unknown }).command}: no such request`);
    }
  }
  private async console(socket: Socket, which: string, early: Buffer): Promise<void> {
    socket.pause();
    const { console: log } = await this.machine.domains.find(which);
    if (socket.destroyed) return;
    socket.write(`${JSON.stringify({ ok: true, result: null } satisfies Answer<null>)}\n`);
    const detach = log.attach({
      output: (bytes) => {
        socket.write(bytes);
        if (socket.writableLength > MOST_BACKLOG) socket.destroy();
      },
      end: () => socket.end(),
    });
    socket.on('close', detach);
    socket.on('data', (bytes: Buffer) => log.feed(bytes));
    if (early.length > 0) log.feed(early);
    socket.resume();
  }
}

const WORDS: ReadonlySet<string> = new Set(['domain', 'name', 'key', 'keys', 'cpus', 'file']), NUMBERS: ReadonlySet<string> = new Set(['kib', 'vcpus']);
/** A request whose words are words, and its numbers whole; what they say is checked by whoever acts. @throws SyntaxError, DomainError */
function parsed(line: string): Request {
  const request = JSON.parse(line) as Request;
  if (typeof request !== 'object' || request === null) throw new DomainError('not a request');
  for (const [key, value] of Object.entries(request)) {
    if (WORDS.has(key) && typeof value !== 'string') throw new DomainError(`${key}: not a word`);
    if (NUMBERS.has(key) && !(Number.isSafeInteger(value) && value >= 0)) throw new DomainError(`${key}: not a number`);
  }
  return request;
}
function readRing(ring: LogRing, clear: boolean): string {
  const text = ring.read();
  if (clear) ring.clear();
  return text;
}
function sysrqKey(key: string): string {
  if (!/^[\x21-\x7e]$/.test(key)) throw new DomainError(`sysrq ${key}: one letter or digit is sent`);
  return key;
}

function answer(socket: Socket, value: Answer<unknown>): void { socket.resume().end(`${JSON.stringify(value)}\n`); }

/** True when somebody listens there. */
function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy();
      done(true);
    });
    socket.on('error', () => done(false));
  });
}
