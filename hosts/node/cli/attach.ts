// `xenith console`: the console of a domain of the daemon, on this terminal.

import { openConsole } from '../daemon/client.ts';
import type { Terminal } from './terminal.ts';

const CTRL_RIGHT_BRACKET = 0x1d;

/** Resolves when the console is left or its domain is gone. */
export async function attachConsole(state: string, domain: string, terminal: Terminal): Promise<void> {
  const { socket, first } = await openConsole(state, domain);
  const { isPerson } = terminal;
  if (isPerson) {
    terminal.message('xenith: Ctrl-] leaves the console; the domain goes on');
    terminal.makeRaw();
  }
  process.stdout.write(first);
  socket.on('data', (bytes: Buffer) => {
    if (process.stdout.write(bytes)) return;
    socket.pause();
    process.stdout.once('drain', () => socket.resume());
  });
  const over = new Promise<void>((done) => { socket.on('close', () => done()); });
  process.stdin.on('data', (bytes: Buffer) => {
    const escape = isPerson ? bytes.indexOf(CTRL_RIGHT_BRACKET) : -1;
    socket.write(escape < 0 ? bytes : bytes.subarray(0, escape));
    if (escape >= 0) socket.end();
  });
  socket.resume();
  await over;
  terminal.restore();
}
