// Hostile configurations: whatever comes in, there is a configuration that can be used, or a ConfigError that says in one line
// what is wrong. Everything follows from the seed.

import { stackOf } from '#base/error-text.ts';
import { ConfigError } from '../config-error.ts';
import { parseConfig, withWords } from '../config-file.ts';
import { domainConfig, type DomainConfigFile } from '../domain-config.ts';
import { refusedKeys } from '../refused-keys.ts';
import { generator, randomConfig } from './random-config.ts';

export interface Life {
  readonly steps: number;
  /** what must not have happened, and with which text and words, as lines to read */
  readonly problems: readonly string[];
  /** how often the way ended where: "no file", "no domain", "domain" */
  readonly outcomes: ReadonlyMap<string, number>;
}

const KEYS = ['name', 'uuid', 'type', 'kernel', 'memory', 'maxmem', 'vcpus', 'cpus', 'cpus_soft', 'cap', 'on_crash', 'disk', 'disk', 'disk', 'vif', 'vif', 'vif', ...refusedKeys().slice(0, 3)];
const PIECES = [
  '/a', ',', ',', ',', '=', ':', ' ', 'raw', 'qcow2', 'xvda', 'hdc', 'd1p2', 'w', 'cdrom', 'target=', 'vdev=', 'format=', 'phy:', 'tap:', 'mac=', '00:16:3e:0:0:1', 'rate=', 'devid=', 'mtu=',
  '1', '9', '0', 'MB/s', '@', 'ms', 'all', '^', '-', 'node:', 'é', '\\n',
];

export function fuzzConfigs(seed: number, times: number): Life {
  const random = generator(seed);
  const outcomes = new Map<string, number>();
  const problems: string[] = [];
  let steps = 0;
  while (steps++ < times && problems.length === 0) {
    const text = random(2) ? randomConfig(random) : randomSetting(random);
    const words = random(4) ? [] : [randomConfig(random)];
    const { outcome, wrong } = attempt(text, words);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    problems.push(...wrong.map((what) => `${what}\n  text ${JSON.stringify(text)}, words ${JSON.stringify(words)}`));
  }
  return { steps: steps - 1, problems, outcomes };
}

/** What becomes of a text: where it ends, and what must not be. */
export function attempt(text: string, words: readonly string[]): { outcome: 'no file' | 'no domain' | 'domain'; wrong: readonly string[] } {
  let outcome: 'no file' | 'no domain' | 'domain' = 'no file';
  try {
    const config = withWords(parseConfig(text, 'f'), words);
    outcome = 'no domain';
    const domain = domainConfig(config);
    outcome = 'domain';
    return { outcome, wrong: [...unusable(domain.config), ...domain.warnings.flatMap(unreadable)] };
  } catch (error) {
    if (!(error instanceof ConfigError)) return { outcome, wrong: [`not a ConfigError: ${stackOf(error)}`] };
    return { outcome, wrong: unreadable(error.message) };
  }
}

/** One setting of a file that is good but for that. */
function randomSetting(random: (n: number) => number): string {
  const value = (): string => `"${Array.from({ length: random(8) }, () => PIECES[random(PIECES.length)]).join('')}"`;
  return `name="g"\nkernel="/k"\n${KEYS[random(KEYS.length)]}=${random(4) ? `[${Array.from({ length: 1 + random(2) }, value).join(',')}]` : value()}`;
}

/** A message begins with its place, and is one line that can be shown on a terminal. */
function unreadable(message: string): string[] {
  return /^(f|command line):(\d+:)? \P{Cc}+$/u.test(message) && message.length < 400 ? [] : [`a message is ${JSON.stringify(message)}`];
}

/** What the builder of domains relies on. */
function unusable(c: DomainConfigFile): string[] {
  const within = (n: number, min: number, max: number): boolean => Number.isInteger(n) && n >= min && n <= max;
  const different = (list: readonly unknown[]): boolean => new Set(list).size === list.length;
  const rules = {
    'memory': within(c.memory, 1, 4095) && within(c.maxmem, c.memory, 4095), 'vCPUs': within(c.vcpus, 1, 32) && within(c.maxvcpus, c.vcpus, 32),
    'weight': within(c.cpu_weight, 1, 65_535), 'cap': within(c.cap, 0, 65_535), 'name': /^\P{Cc}{1,255}$/u.test(c.name), 'UUID': c.uuid === undefined || /^[0-9a-f-]{36}$/.test(c.uuid),
    'CPUs': [c.cpus, c.cpus_soft].every((lists) => lists === undefined || lists.length <= c.maxvcpus),
    'disks': different(c.disks.map((d) => d.number)), 'interfaces': different(c.vifs.map((v) => v.devid)),
  };
  return Object.entries(rules).filter(([, holds]) => !holds).map(([what]) => `its ${what} cannot be used: ${JSON.stringify(c)}`);
}
