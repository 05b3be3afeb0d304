// A client of the local API (protocol.ts).

import { connect, type Socket } from 'node:net';
import type { Answer, Request } from './protocol.ts';
import { socketPath } from './state-dir.ts';

/** What the daemon refused, or that there is none; for the user. */
export class RequestError extends Error {}

/** Asks the daemon whose state lies there. @throws RequestError */
export async function ask<T>(state: string, request: Request): Promise<T> {
  const { answer, socket } = await send<T>(state, request);
  socket.destroy();
  return answer;
}

export interface ConsoleConnection {
  readonly socket: Socket;
  /** what the console said in the same breath as the answer */
  readonly first: Buffer;
}
/** Attaches to a domain's console. @throws RequestError */
export async function openConsole(state: string, domain: string): Promise<ConsoleConnection> {
  const { socket, first } = await send<null>(state, { command: 'console', domain });
  return { socket, first };
}

function send<T>(state: string, request: Request): Promise<ConsoleConnection & { readonly answer: T }> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath(state));
    let head = Buffer.alloc(0);
    const read = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf(10);
      if (end < 0) return;
      socket.pause();
      socket.off('data', read);
      const answer = JSON.parse(head.subarray(0, end).toString()) as Answer<T>;
      if (answer.ok) return resolve({ answer: answer.result, socket, first: head.subarray(end + 1) });
      socket.destroy();
      reject(new RequestError(answer.error));
    };
    socket.on('data', read);
    socket.on('error', (error: NodeJS.ErrnoException) => reject(new RequestError(reasonOf(error, state))));
    socket.on('close', () => reject(new RequestError('the daemon closed the connection')));
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

function reasonOf(error: NodeJS.ErrnoException, state: string): string {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return `no daemon runs with its state in ${state}; start one: xenith daemon`;
  if (error.code === 'EACCES') return `the daemon with its state in ${state} is another user's`;
  return error.message;
}
