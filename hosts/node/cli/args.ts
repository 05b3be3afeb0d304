// The command line of `xenith run`: words in, one checked record out.

import type { parseArgs } from 'node:util';
import { MAX_VCPUS } from '#base/capsule.ts';
import { TRACE_CATEGORIES, type TraceCategory } from '#hypervisor/trace.ts';
import { parseMemorySize } from './memory-size.ts';
import { parsedArgs, secondsIn, wholeNumber } from './option-words.ts';
import { UsageError } from './usage-error.ts';

export interface RunArgs {
  readonly help: boolean;
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly append: string;
  /** MiB */
  readonly memory: number;
  readonly vcpus: number;
  readonly name: string | undefined;
  /** seconds; Infinity when none was given */
  readonly timeout: number;
  readonly deterministic: boolean;
  /** the default guest's kernel is booted, whatever is kept */
  readonly boot: boolean;
  readonly compileAfter: number | undefined;
  readonly trace: readonly TraceCategory[];
  /** file for a trace in JSON */
  readonly traceOut: string | undefined;
  readonly stats: boolean;
  readonly profile: boolean;
  readonly systemMap: string | undefined;
  readonly verbose: boolean;
  /** file for a core of a domain that crashes */
  readonly dumpOnCrash: string | undefined;
  /** the words after `--`; undefined without them */
  readonly command: readonly string[] | undefined;
}

const MOST_EXECUTIONS = 999_999_999;
const OPTIONS = {
  kernel: { type: 'string' }, initrd: { type: 'string' }, append: { type: 'string' }, memory: { type: 'string' },
  vcpus: { type: 'string' }, name: { type: 'string' }, timeout: { type: 'string' }, trace: { type: 'string' }, 'trace-out': { type: 'string' }, 'compile-after': { type: 'string' },
  'system-map': { type: 'string' }, 'dump-on-crash': { type: 'string' }, profile: { type: 'boolean' },
  deterministic: { type: 'boolean' }, boot: { type: 'boolean' }, stats: { type: 'boolean' }, verbose: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
} as const;

/**
 * @param words what follows `xenith run`
 * @throws UsageError
 */
export function parseRunArgs(words: readonly string[]): RunArgs {
  const end = words.indexOf('--');
  const command = end < 0 ? undefined : words.slice(end + 1);
  const values = parseOptions(end < 0 ? words : words.slice(0, end));
  if (command?.length === 0) throw new UsageError('no command after --');
  if (command && values.kernel !== undefined) throw new UsageError('-- COMMAND runs in the default guest: it does not go with --kernel');
  if (values.initrd !== undefined && values.kernel === undefined) throw new UsageError('--initrd needs --kernel: the default guest has its own');
  if (values.boot && values.kernel !== undefined) throw new UsageError('--boot is for the default guest: another kernel always boots');
  if (values['system-map'] !== undefined && !values.profile) throw new UsageError('--system-map names the functions that --profile lists: it needs --profile');
  return {
    help: values.help ?? false,
    kernel: values.kernel,
    initrd: values.initrd,
    append: values.append ?? '',
    memory: parseMemorySize(values.memory ?? '256M'),
    vcpus: wholeNumber('--vcpus', values.vcpus ?? '1', 1, MAX_VCPUS),
    name: values.name === undefined ? undefined : parseName(values.name),
    timeout: values.timeout === undefined ? Infinity : secondsIn('--timeout', values.timeout),
    deterministic: values.deterministic ?? false,
    boot: values.boot ?? false,
    compileAfter: values['compile-after'] === undefined ? undefined : wholeNumber('--compile-after', values['compile-after'], 0, MOST_EXECUTIONS, 'a number of executions'),
    trace: values.trace === undefined ? [] : parseTrace(values.trace),
    traceOut: values['trace-out'],
    stats: values.stats ?? false,
    profile: values.profile ?? false,
    systemMap: values['system-map'],
    verbose: values.verbose ?? false,
    dumpOnCrash: values['dump-on-crash'],
    command,
  };
}

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'];

function parseOptions(args: readonly string[]): Values {
  const { values, tokens } = parsedArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'positional') throw new UsageError(`${token.value}: not an option; a command for the guest goes after --`);
  }
  return values;
}

function parseName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)) throw new UsageError(`--name ${text}: a name has up to 63 letters, digits, dots, dashes and underscores`);
  return text;
}

function parseTrace(text: string): TraceCategory[] {
  return text.split(',').map((word) => {
    const category = TRACE_CATEGORIES.find((c) => c === word);
    if (!category) throw new UsageError(`--trace ${word}: not one of ${TRACE_CATEGORIES.join(', ')}`);
    return category;
  });
}
