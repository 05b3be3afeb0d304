// The commands that a daemon answers, in the words of xl(1).

import { resolve } from 'node:path';
import { ask, RequestError } from '../daemon/client.ts';
import type { DomainInfo, LongInfo, Request, VcpuInfo } from '../daemon/protocol.ts';
import { stateDir } from '../daemon/state-dir.ts';
import { attachConsole } from './attach.ts';
import { json, JSON_OPTION, type Command, type Invocation } from './command.ts';
import { createRequest } from '../create-request.ts';
import { longList } from './domain-long.ts';
import { domainTable, shareTable, uptimeTable } from './domain-table.ts';
import { HOST_COMMANDS } from './host-commands.ts';
import { parsedArgs, secondsIn, wholeNumber } from './option-words.ts';
import { RESIZE_COMMANDS } from './resize-commands.ts';
import { Terminal } from './terminal.ts';
import { top } from './top.ts';
import { UsageError } from './usage-error.ts';
import { vcpuTable } from './vcpu-table.ts';

/** Those that were named; all, if none was. */
function chosen<T extends DomainInfo>({ words }: Invocation, all: T[]): T[] { return words.length === 0 ? all : words.map((which) => find(all, which)); }
const list = async (i: Invocation): Promise<DomainInfo[]> => chosen(i, await ask<DomainInfo[]>(i.state, { command: 'list' }));
function find<T extends DomainInfo>(all: readonly T[], which: string): T {
  const found = all.find((d) => String(d.domid) === which) ?? all.find((d) => d.name === which);
  if (!found) throw new RequestError(`${which}: no such domain`);
  return found;
}
/** A request for one domain that answers nothing. */
const simple = (command: 'destroy' | 'pause' | 'unpause', about: string): Command => ({
  usage: 'DOMAIN', about, words: [1, 1],
  run: async ({ state, words }) => {
    await ask(state, { command, domain: words[0] as string });
    return '';
  },
});
/** A request that the guest carries out, if it likes. */
const asked = (command: 'shutdown' | 'reboot', about: string): Command => ({
  usage: '[-w] DOMAIN', about, words: [1, 1], options: { wait: { type: 'boolean', short: 'w' } },
  async run({ state, words, flags }) {
    const which = words[0] as string;
    const { domid } = find(await ask<DomainInfo[]>(state, { command: 'list' }), which);
    await ask(state, { command, domain: which });
    while (flags['wait'] && (await ask<DomainInfo[]>(state, { command: 'list' })).some((d) => d.domid === domid && !/[sc]/.test(d.state))) await new Promise((done) => { setTimeout(done, 100); });
    return '';
  },
});

export const DOMAIN_COMMANDS: Readonly<Record<string, Command>> = {
  create: {
    usage: '[-c] [-p] [FILE] [KEY=VALUE...]', about: 'start a domain from an xl.cfg file, or the default guest', words: [0, 99],
    options: { console: { type: 'boolean', short: 'c' }, paused: { type: 'boolean', short: 'p' }, ...JSON_OPTION },
    async run({ state, words, flags }) {
      const { request, warnings } = createRequest(words, flags['paused'] === true);
      for (const warning of warnings) process.stderr.write(`xenith: ${warning}\n`);
      const info = await ask<DomainInfo>(state, { command: 'create', create: request });
      if (flags['console'] === true) await attachConsole(state, String(info.domid), new Terminal());
      return flags['json'] === true ? json(info) : flags['console'] === true ? '' : `domain ${info.domid} (${info.name}) is created\n`;
    },
  },
  list: {
    usage: '[-l|-v|--json] [DOMAIN...]', about: 'domains and what they do; -l: their configurations as JSON, as xl has it; -v: uuids and reasons of a shutdown, too', words: [0, 9999],
    options: { long: { type: 'boolean', short: 'l' }, verbose: { type: 'boolean', short: 'v' }, ...JSON_OPTION },
    async run(i) {
      if (i.flags['long'] === true) return json(longList(chosen(i, await ask<LongInfo[]>(i.state, { command: 'list-long' }))));
      return i.flags['json'] === true ? json(await list(i)) : domainTable(await list(i), i.flags['verbose'] === true);
    },
  },
  'vcpu-list': {
    usage: '[--json] [DOMAIN...]', about: 'virtual processors, what they do, and the physical CPUs that they are on and may be on; Domain-0 is the daemon and has none', words: [0, 9999], options: JSON_OPTION,
    async run(i) {
      const all = await ask<VcpuInfo[]>(i.state, { command: 'vcpus' });
      const domids = i.words.length > 0 ? new Set((await list(i)).map((d) => d.domid)) : undefined;
      const vcpus = all.filter((v) => domids?.has(v.domid) ?? true);
      return i.flags['json'] === true ? json(vcpus) : vcpuTable(vcpus);
    },
  },
  'vcpu-pin': {
    usage: 'DOMAIN VCPU|all CPUS|all', about: 'say which physical CPUs a vCPU may run on; a domain runs where all of its vCPUs may', words: [3, 3],
    async run({ state, words }) {
      const [domain, vcpu, cpus] = words as [string, string, string];
      if (vcpu !== 'all' && !/^\d+$/.test(vcpu)) throw new UsageError(`vcpu-pin: ${vcpu}: neither the number of a vCPU nor all`);
      await ask(state, { command: 'pin', domain, vcpu: vcpu === 'all' ? vcpu : Number(vcpu), cpus } satisfies Request);
      return '';
    },
  },
  sysrq: {
    usage: 'DOMAIN LETTER', about: 'send a magic system request to a guest', words: [2, 2],
    async run({ state, words }) {
      await ask(state, { command: 'sysrq', domain: words[0] as string, key: words[1] as string });
      return '';
    },
  },
  console: {
    usage: 'DOMAIN', about: 'attach to a console; Ctrl-] leaves it', words: [1, 1],
    async run({ state, words }) {
      await attachConsole(state, words[0] as string, new Terminal());
      return '';
    },
  },
  destroy: simple('destroy', 'end a domain at once'),
  shutdown: asked('shutdown', 'ask a guest to power off; -w: wait until it has'),
  reboot: asked('reboot', 'ask a guest to reboot; -w: wait until it has'),
  pause: simple('pause', 'stop a domain for the time being'),
  unpause: simple('unpause', 'let a paused domain go on'),
  'dump-core': {
    usage: '[-l] [-c] DOMAIN FILE', about: 'write a core file of a domain, which stands still meanwhile; -l (--live): it runs on; -c (--crash): crash it afterwards', words: [2, 2],
    options: { live: { type: 'boolean', short: 'l' }, crash: { type: 'boolean', short: 'c' } },
    async run({ state, words, flags }) {
      const file = resolve(words[1] as string);
      await ask(state, { command: 'dump-core', domain: words[0] as string, file, live: flags['live'] === true, crash: flags['crash'] === true });
      return '';
    },
  },
  trace: {
    usage: '[-s SECONDS] FILE', about: 'write what all domains do in the next seconds (5 if not given), as JSON that Perfetto opens', words: [1, 1],
    options: { seconds: { type: 'string', short: 's' } },
    async run({ state, words, flags }) {
      const { seconds = '5' } = flags as Readonly<Record<string, string | undefined>>;
      await ask(state, { command: 'trace', seconds: secondsIn('trace: -s', seconds), file: resolve(words[0] as string) });
      return '';
    },
  },
  rename: {
    usage: 'DOMAIN NAME', about: 'give a domain another name', words: [2, 2],
    async run({ state, words }) {
      await ask(state, { command: 'rename', domain: words[0] as string, name: words[1] as string } satisfies Request);
      return '';
    },
  },
  'sched-credit2': {
    usage: '[-d DOMAIN [-w WEIGHT] [-c CAP]]', about: 'shares of the processor: see them, or set one; a cap is per cent of a CPU', words: [0, 0],
    options: { domain: { type: 'string', short: 'd' }, weight: { type: 'string', short: 'w' }, cap: { type: 'string', short: 'c' }, ...JSON_OPTION },
    async run({ state, flags }) {
      const { domain, weight, cap } = flags as Readonly<Record<string, string | undefined>>;
      if (domain === undefined && (weight !== undefined || cap !== undefined)) throw new UsageError('sched-credit2: -w and -c need -d DOMAIN');
      if (domain !== undefined && (weight !== undefined || cap !== undefined)) {
        await ask(state, { command: 'share', domain, weight: weight === undefined ? undefined : Number(weight), cap: cap === undefined ? undefined : Number(cap) });
        return '';
      }
      const all = (await list({ state, words: domain === undefined ? [] : [domain], flags })).filter((d) => d.domid !== 0);
      return flags['json'] === true ? json(all.map(({ name, domid, weight: w, cap: c }) => ({ name, domid, weight: w, cap: c }))) : shareTable(all);
    },
  },
  top: {
    usage: '[-b] [-d SECONDS] [-i N] [-v] [-e] [-r] [-f] [--json]',
    about: 'what domains do, live, in the columns of xentop; -b: one table after another, -d: seconds between them (3), -i: how many, -v: vCPUs, -e: what the engine did, -r: repeat the header, -f: full names; --json: a line for each sample, one if -i does not say more',
    words: [0, 0],
    options: {
      batch: { type: 'boolean', short: 'b' }, delay: { type: 'string', short: 'd' }, iterations: { type: 'string', short: 'i' }, vcpus: { type: 'boolean', short: 'v' },
      engine: { type: 'boolean', short: 'e' }, 'repeat-header': { type: 'boolean', short: 'r' }, 'full-name': { type: 'boolean', short: 'f' }, ...JSON_OPTION,
    },
    async run({ state, flags }) {
      const isOn = (name: string): boolean => flags[name] === true;
      const { delay = '3', iterations } = flags as Readonly<Record<string, string | undefined>>;
      const request = {
        state, batch: isOn('batch'), json: isOn('json'), delay: secondsIn('top: --delay', delay),
        iterations: iterations === undefined ? isOn('json') ? 1 : Infinity : wholeNumber('top: --iterations', iterations, 1, Infinity, 'a number above 0'),
        options: { vcpus: isOn('vcpus'), engine: isOn('engine'), fullNames: isOn('full-name'), repeatHeader: isOn('repeat-header'), sort: 0 },
      };
      await top(request, new Terminal());
      return '';
    },
  },
  'debug-keys': {
    usage: 'KEYS', about: 'have the hypervisor write about itself to its log: h lists what each key writes', words: [1, 1],
    async run({ state, words }) {
      await ask(state, { command: 'debug-keys', keys: words[0] as string });
      return '';
    },
  },
  ...RESIZE_COMMANDS,
  domid: { usage: 'DOMAIN', about: 'the number of a domain', words: [1, 1], run: async (i) => `${(await list(i))[0]?.domid}\n` },
  domname: { usage: 'DOMAIN', about: 'the name of a domain', words: [1, 1], run: async (i) => `${(await list(i))[0]?.name}\n` },
  uptime: {
    usage: '[--json] [DOMAIN...]', about: 'for how long domains have run', words: [0, 9999], options: JSON_OPTION,
    run: async (i) => (i.flags['json'] === true ? json((await list(i)).map(({ name, domid, uptime }) => ({ name, domid, uptime }))) : uptimeTable(await list(i))),
  },
  ...HOST_COMMANDS,
};

const COMMON_OPTIONS = { state: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;

/** @returns what to print @throws UsageError, RequestError */
export async function domainCommand(name: string, command: Command, args: readonly string[]): Promise<string> {
  const usage = `Usage: xenith ${name} [--state DIR] ${command.usage}\n\n${command.about.charAt(0).toUpperCase()}${command.about.slice(1)}.\n`;
  const { values, positionals } = parsedArgs({ args: [...args], allowPositionals: true, options: { ...command.options, ...COMMON_OPTIONS } }, name);
  if (values['help'] === true) return usage;
  const [least, most] = command.words;
  if (positionals.length < least || positionals.length > most) throw new UsageError(`${name}: ${positionals.length < least ? 'words are missing' : 'too many words'}: xenith ${name} ${command.usage}`);
  return command.run({ state: stateDir(values['state'] as string | undefined), words: positionals, flags: values as Invocation['flags'] });
}
