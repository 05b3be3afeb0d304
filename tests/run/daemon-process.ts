// A daemon in a process of its own, its state in a folder of its own, and what a user does with it.

import assert from 'node:assert/strict';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from '#hosts/node/daemon/client.ts';
import type { DomainInfo, Request } from '#hosts/node/daemon/protocol.ts';
import { ended, start, xenith, type Ended } from './xenith.ts';

const PATIENCE = 60_000;
export const wait = (ms: number): Promise<void> => new Promise((done) => { setTimeout(done, ms); });

export class Daemon {
  readonly state: string = mkdtempSync(join(tmpdir(), 'xenith-daemon-'));
  readonly socket: string = join(this.state, 'xenith.sock');
  log = '';
  private readonly args: readonly string[];
  private child: ChildProcessWithoutNullStreams | undefined;

  /** @param args of `xenith daemon`, beside its state */
  constructor(args: readonly string[]) { this.args = args; }

  get pid(): number { return this.child?.pid as number; }
  async start(): Promise<void> {
    const child = this.child = start(['daemon', '--state', this.state, ...this.args]);
    child.stderr.on('data', (bytes: Buffer) => { this.log += bytes.toString(); });
    const count = this.log.split('ready;').length;
    await this.until('the daemon gets ready', async () => this.log.split('ready;').length > count);
  }
  async kill(): Promise<void> {
    const killed = new Promise((done) => { this.child?.once('close', done); });
    this.child?.kill('SIGKILL');
    await killed;
  }
  /** As systemd ends it. */
  stop(): Promise<Ended> {
    const result = ended(this.child as ChildProcessWithoutNullStreams);
    this.child?.kill('SIGTERM');
    return result;
  }
  /** Whatever state it is in, nothing is left of it. */
  end(): void {
    this.child?.kill('SIGKILL');
    rmSync(this.state, { recursive: true, force: true });
  }

  /** Runs a command of xenith's. */
  call(command: string, ...words: string[]): Promise<Ended> { return xenith([command, '--state', this.state, ...words]); }
  async ok(command: string, ...words: string[]): Promise<string> {
    const r = await this.call(command, ...words);
    assert.equal(r.status, 0, r.err);
    return r.out;
  }
  /** The same without a process for it. */
  ask<T>(request: Request): Promise<T> { return ask<T>(this.state, request); }
  async list(...which: string[]): Promise<DomainInfo[]> { return JSON.parse(await this.ok('list', '--json', ...which)) as DomainInfo[]; }
  async one(which: string): Promise<DomainInfo> { return (await this.list(which))[0] as DomainInfo; }
  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (const begin = performance.now(); !await holds();) {
      assert.ok(performance.now() - begin < PATIENCE, `${what}; the log: ${this.log}`);
      await wait(100);
    }
  }

  console(which: string): Console { return new Console(this.socket, which); }
  /** Types at a console until it says something. */
  async converse(which: string, input: string, pattern: RegExp): Promise<string> {
    const console = this.console(which);
    console.say(input);
    try {
      return await console.hear(pattern);
    } finally {
      console.close();
    }
  }
}

export class Console {
  heard = '';
  private readonly connection: Socket;
  /** in place of keeping them: for much output */
  onBytes: ((bytes: Buffer) => void) | undefined;
  private onData: () => void = () => {};

  constructor(socket: string, domain: string) {
    this.connection = connect(socket);
    this.connection.write(`${JSON.stringify({ command: 'console', domain } satisfies Request)}\n`);
    this.connection.on('data', (bytes: Buffer) => {
      if (this.onBytes) return this.onBytes(bytes);
      this.heard += bytes.toString();
      this.onData();
    });
  }
  say(input: string): void { this.connection.write(input); }
  /** What was heard when it matches. */
  hear(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the console said: ${this.heard}`)), PATIENCE);
      this.onData = () => {
        if (!pattern.test(this.heard)) return;
        clearTimeout(timer);
        resolve(this.heard);
      };
      this.onData();
    });
  }
  close(): void { this.connection.destroy(); }
}
