// A daemon in a process of its own, its state in a folder of its own, and what a user does with it: the one way to start daemons in
// tests.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from '#hosts/node/daemon/client.ts';
import type { CreateRequest, DomainInfo, LongInfo, Request } from '#hosts/node/daemon/protocol.ts';
import { PATIENCE_MS, until } from '#hosts/node/testing/wait.ts';
import { xenith, XENITH, type Ended } from '../run/xenith.ts';

/** A request as `xenith create -p` makes one of a name. */
export function paused(name: string, more: Partial<CreateRequest> = {}): CreateRequest {
  return { name, memory: 48, vcpus: 1, weight: 256, cap: 0, cmdline: '', onPoweroff: 'destroy', onReboot: 'restart', onCrash: 'destroy', paused: true, ...more };
}

export class Daemon {
  readonly state: string;
  readonly socket: string;
  /** all that was logged, by all daemons of this state */
  log = '';
  private readonly args: readonly string[];
  private child: ChildProcess | undefined;

  /** @param args of `xenith daemon`, beside its state */
  constructor(args: readonly string[] = [], state: string = mkdtempSync(join(tmpdir(), 'xenith-daemon-'))) {
    this.args = args;
    this.state = state;
    this.socket = join(state, 'xenith.sock');
  }

  get pid(): number { return this.child?.pid as number; }
  /** Starts it, and waits until it is ready. @param args further ones, for this time */
  async start(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<void> {
    const count = this.log.split('ready;').length;
    this.spawn(args, env);
    const child = this.child as ChildProcess;
    await this.until('the daemon gets ready', () => {
      assert.equal(child.exitCode, null, this.log);
      return this.log.split('ready;').length > count;
    });
  }
  /** Starts it. */
  spawn(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): void {
    const child = spawn(process.execPath, [XENITH, 'daemon', '--state', this.state, ...this.args, ...args], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
    child.stderr.on('data', (bytes: Buffer) => { this.log += bytes.toString(); });
    this.child = child;
  }
  signal(signal: NodeJS.Signals): void { this.child?.kill(signal); }
  /** Its exit status, -1 when a signal ended it. */
  async ended(): Promise<number> {
    const { child } = this;
    if (!child) return 0;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    return child.exitCode ?? -1;
  }
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended();
  }
  /** As systemd ends it. @returns its exit status */
  stop(): Promise<number> {
    this.signal('SIGTERM');
    return this.ended();
  }
  /** Kills it and takes its state away. */
  async remove(): Promise<void> {
    await this.kill();
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
  ask<T = null>(request: Request): Promise<T> { return ask<T>(this.state, request); }
  create(request: CreateRequest): Promise<DomainInfo> { return this.ask({ command: 'create', create: request }); }
  /** Without Domain-0. @param names those, in this order; none: all */
  async list(...names: string[]): Promise<LongInfo[]> {
    const all = (await this.ask<LongInfo[]>({ command: 'list-long' })).slice(1);
    return names.length === 0 ? all : names.map((name) => all.find((d) => d.name === name) ?? assert.fail(`there is no ${name}`));
  }
  async names(): Promise<string[]> { return (await this.list()).map((d) => d.name); }
  async one(name: string): Promise<LongInfo> { return (await this.list(name))[0] as LongInfo; }
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> { await until(() => `${what}; the log: ${this.log}`, holds); }

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
  /** Sends bytes as they are. @returns what comes back until the connection ends */
  raw(bytes: string | Uint8Array): Promise<string> {
    return new Promise((resolve, reject) => {
      const c = connect(this.socket);
      let heard = '';
      c.on('data', (b: Buffer) => { heard += b.toString(); });
      c.on('close', () => resolve(heard));
      c.on('error', reject);
      c.write(bytes);
    });
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
      const timer = setTimeout(() => reject(new Error(`the console said: ${this.heard}`)), PATIENCE_MS);
      this.onData = () => {
        if (!pattern.test(this.heard)) return;
        clearTimeout(timer);
        resolve(this.heard);
      };
      this.onData();
    });
  }
  /** Ends the connection when all that was said is sent. */
  close(): void { this.connection.destroySoon(); }
}
