// What MMX instructions do to the x87 state (Intel SDM vol. 1, 9.2.4 and vol. 3, 12.2): all but EMMS make TOP 0 and
// every register valid before they touch one, and a write to MMi sets the register's sign and exponent to ones. With
// TOP at 0, MMi is in slot i of the FXSAVE area. Pending exceptions come first: x87Pending.

import type { Cpu } from '../cpu.ts';
import { Registers } from './registers.ts';

const registers = new Registers();

/** Before an MMX instruction other than EMMS works on a register. */
export function enterMmx(cpu: Cpu): void {
  registers.attach(cpu);
  registers.top = 0;
  registers.ftw = 0xff;
}

/** EMMS: every register empty, TOP 0. */
export function emms(cpu: Cpu): void {
  registers.attach(cpu);
  registers.top = 0;
  registers.ftw = 0;
}
