// Serves the local API (protocol.ts) on a unix socket.

import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { BuilderError } from '#toolstack/builder/builder-error.ts';
import { DomainError, type Domains } from '#toolstack/lifecycle/domains.ts';
import { affinityOf, specOf } from './domain-spec.ts';
import { domainZero, infoOf, vcpusOf } from './domain-info.ts';
import type { Answer, Request } from './protocol.ts';

const LONGEST_REQUEST = 64 << 10;
/** Bytes of a console that wait for a slow reader before it is cut off. */
const MOST_BACKLOG = 16 << 20;

export class AlreadyRunning extends Error {}

export class ApiServer {
  private readonly domains: Domains;
  private readonly path: string;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(domains: Domains, path: string) {
    this.domains = domains;
    this.path = path;
    this.server = createServer((socket) => this.accept(socket));
  }

  /** @throws AlreadyRunning, and what the file system says */
  async listen(): Promise<void> {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    if (await answers(this.path)) throw new AlreadyRunning(`a daemon runs already with its state in ${dirname(this.path)}; --state DIR gives another one a place of its own`);
    rmSync(this.path, { force: true }); // of one that was killed
    await new Promise<void>((done, failed) => {
      this.server.once('error', failed);
      this.server.listen(this.path, done);
    });
    chmodSync(this.path, 0o600);
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
      const request = JSON.parse(line) as Request;
      if (request.command === 'console') return this.console(socket, request.domain, rest);
      answer(socket, { ok: true, result: await this.perform(request) });
    } catch (error) {
      if (!(error instanceof DomainError || error instanceof BuilderError || error instanceof SyntaxError)) console.error(error);
      answer(socket, { ok: false, error: error instanceof Error ? error.message : String(error) });
    }
  }
  private async perform(request: Exclude<Request, { command: 'console' }>): Promise<unknown> {
    const { domains } = this;
    switch (request.command) {
      case 'list': return [domainZero(domains), ...domains.list().map((d) => infoOf(d, domains.now()))];
      case 'vcpus': return domains.list().flatMap((d) => vcpusOf(d, domains));
      case 'create': return infoOf(await domains.create(specOf(request.create), request.create.paused), domains.now());
      case 'rename': domains.rename(domains.get(request.domain), request.name); return null;
      case 'share': await domains.setShare(domains.get(request.domain), request.weight, request.cap); return null;
      case 'pin': await domains.pin(domains.get(request.domain), request.vcpu, affinityOf(request.cpus)); return null;
      case 'destroy': await domains.destroy(domains.get(request.domain)); return null;
      case 'pause': await domains.pause(domains.get(request.domain)); return null;
      case 'unpause': await domains.unpause(domains.get(request.domain)); return null;
      case 'shutdown': domains.request(domains.get(request.domain), 'poweroff'); return null;
      case 'reboot': domains.request(domains.get(request.domain), 'reboot'); return null;
      default: throw new DomainError(`${(request as { command: unknown }).command}: no such request`);
    }
  }
  private console(socket: Socket, which: string, early: Buffer): void {
    const { console: log } = this.domains.get(which);
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
  }
}

function answer(socket: Socket, value: Answer<unknown>): void { socket.end(`${JSON.stringify(value)}\n`); }

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
