// The commands of xl(1) about the machine: info and dmesg.

import { ask } from '../daemon/client.ts';
import type { HostInfo } from '../daemon/protocol.ts';
import { json, JSON_OPTION, type Command } from './command.ts';

/** xl's column of names */
const NAME_WIDTH = 23;

export const HOST_COMMANDS: Readonly<Record<string, Command>> = {
  info: {
    usage: '[--json]', about: 'what machine this is, as a list of name and value', words: [0, 0], options: JSON_OPTION,
    async run({ state, flags }) {
      const info = await ask<HostInfo>(state, { command: 'info' });
      return flags['json'] === true ? json(info) : Object.entries(info).map(([name, value]) => `${name.padEnd(NAME_WIDTH)}: ${value}\n`).join('');
    },
  },
  dmesg: {
    usage: '[-c] [--json]', about: 'what the hypervisor said last; -c: and have it forgotten', words: [0, 0], options: { clear: { type: 'boolean', short: 'c' }, ...JSON_OPTION },
    async run({ state, flags }) {
      const text = await ask<string>(state, { command: 'dmesg', clear: flags['clear'] === true });
      return flags['json'] === true ? json(text.split('\n').slice(0, -1)) : text;
    },
  },
};
