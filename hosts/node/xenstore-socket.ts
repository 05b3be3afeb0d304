// The store over a unix socket, for the processes of this machine: each client speaks as domain 0. The tools of
// xenstore-utils find it by the environment variable XENSTORED_PATH (the socket), or XENSTORED_RUNDIR (its directory, the
// socket being called `socket`).
//
// Who may open the file (private-socket.ts) is domain 0. A client is served in turns of some messages. It is not read from while
// its replies wait to be read, its events may fill a bounded queue only, and bytes that are no messages end its connection.

import { lstatSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { Pace } from '#toolstack/xenstore/conflicts.ts';
import { Connection } from '#toolstack/xenstore/connection.ts';
import type { Store } from '#toolstack/xenstore/store.ts';
import { Decoder } from '#toolstack/xenstore/wire.ts';
import { listenPrivately } from './private-socket.ts';

/** Bytes that may wait in the runtime for a client to read them; what is beyond waits in the store, where it is counted. */
const IN_FLIGHT = 64 << 10;
/** Bytes of requests that a client is served before the others have their turn. */
const TURN = 16 << 10;

/** The clock of a store that serves several clients. */
export const storePace: Pace = {
  now: () => performance.now(),
  later: (ms, then) => { setTimeout(then, ms).unref(); },
};

export class XenstoreSocket {
  readonly path: string;
  private readonly store: Store;
  private readonly server: Server;
  private readonly clients = new Set<SocketClient>();
  /** what tells our socket file from one that took its place */
  private inode: bigint | undefined;

  private constructor(store: Store, path: string) {
    this.store = store;
    this.path = path;
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.accept(socket));
  }

  /**
   * Serves a store. A socket file that nobody listens to any more is replaced.
   * @throws Error EADDRINUSE when another server listens there, or when something that is no socket is there
   */
  static async listen(store: Store, path: string): Promise<XenstoreSocket> {
    await checkFree(path);
    const self = new XenstoreSocket(store, path);
    self.inode = await listenPrivately(self.server, path);
    return self;
  }

  /** clients that are connected */
  get size(): number { return this.clients.size; }

  /** Ends all connections, and removes the socket file. */
  async close(): Promise<void> {
    for (const client of this.clients) client.end();
    await new Promise<void>((resolve) => { this.server.close(() => resolve()); });
    const file = lstatSync(this.path, { bigint: true, throwIfNoEntry: false });
    if (file && file.ino === this.inode) rmSync(this.path, { force: true });
  }

  private accept(socket: Socket): void {
    const client = new SocketClient(this.store, socket, () => this.clients.delete(client));
    this.clients.add(client);
  }
}

class SocketClient {
  private readonly socket: Socket;
  private readonly connection: Connection;
  private readonly decoder = new Decoder();
  private readonly gone: () => void;
  /** what was read and not dealt with yet */
  private input: Uint8Array = new Uint8Array(0);
  /** the client has said its last; it gets its replies still */
  private finished = false;
  private serving = false;

  constructor(store: Store, socket: Socket, gone: () => void) {
    this.socket = socket;
    this.gone = gone;
    this.connection = new Connection(store, 0);
    this.connection.onOutput = () => this.serve();
    socket.on('readable', () => this.serve());
    socket.on('drain', () => this.serve());
    socket.on('end', () => {
      this.finished = true;
      this.serve();
    });
    socket.on('error', () => this.end());
    socket.on('close', () => this.end());
  }

  end(): void {
    this.connection.close();
    this.socket.destroy();
    this.gone();
  }

  /** Sends what waits, then deals with what has come, for a turn. */
  private serve(): void {
    if (this.serving) return;
    this.serving = true;
    this.send();
    let left = TURN;
    while (left > 0 && !this.decoder.failed && this.connection.accepting && this.fill()) {
      left -= this.receive();
      this.send();
    }
    this.serving = false;
    if (this.connection.closed || this.decoder.failed) this.end();
    else if (left <= 0) setImmediate(() => this.serve());
    else if (this.finished && this.input.length === 0 && this.connection.output === undefined && this.socket.writableLength === 0) this.end();
  }

  /** Is there anything to read? */
  private fill(): boolean {
    if (this.input.length === 0) this.input = (this.socket.read() as Uint8Array | null) ?? this.input;
    return this.input.length > 0;
  }

  /** Takes bytes of the input, and deals with the message that they complete. Returns how many. */
  private receive(): number {
    const n = Math.min(this.decoder.wants, this.input.length);
    const message = this.decoder.take(this.input.subarray(0, n));
    this.input = this.input.subarray(n);
    if (message) this.connection.handle(message);
    return n;
  }

  private send(): void {
    for (let message; this.socket.writableLength < IN_FLIGHT && (message = this.connection.output);) {
      this.connection.sent();
      this.socket.write(message);
    }
  }
}

/** @throws Error EADDRINUSE */
async function checkFree(path: string): Promise<void> {
  const file = lstatSync(path, { throwIfNoEntry: false });
  if (!file) return;
  const taken = !file.isSocket() || await new Promise<boolean>((resolve) => {
    const probe = createConnection(path);
    probe.once('connect', () => { probe.destroy(); resolve(true); });
    probe.once('error', () => resolve(false));
  });
  if (taken) throw Object.assign(new Error(`${path} is in use`), { code: 'EADDRINUSE' });
}
