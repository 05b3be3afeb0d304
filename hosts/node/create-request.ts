// What is to be created: an xl.cfg file, words as xl takes them behind it, or both.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError } from '#toolstack/xlcfg/config-error.ts';
import { COMMAND_LINE, parseConfig, withWords, type ConfigFile } from '#toolstack/xlcfg/config-file.ts';
import { domainConfig, type DomainConfigFile, type ShutdownAction } from '#toolstack/xlcfg/domain-config.ts';
import { affinityText } from '#toolstack/lifecycle/affinity.ts';
import type { EventAction } from '#toolstack/lifecycle/managed-domain.ts';
import { MAX_CPUS } from '#toolstack/xlcfg/cpu-list.ts';
import { RequestError } from './daemon/client.ts';
import type { CreateRequest } from './daemon/protocol.ts';
import { reasonOf } from './input-file.ts';

interface ConfigRequest { readonly request: CreateRequest; readonly warnings: readonly string[] }

/** @param words the file's name, if the first has no `=`, and statements @throws RequestError */
export function createRequest(words: readonly string[], paused: boolean): ConfigRequest {
  const [first] = words;
  return first?.includes('=') === false ? configRequest(first, words.slice(1), paused) : configRequest(undefined, words, paused);
}
/** @param file an xl.cfg file, if there is one @param statements words of its language behind it @throws RequestError */
export function configRequest(file: string | undefined, statements: readonly string[], paused: boolean): ConfigRequest {
  try {
    const config = withWords(file === undefined ? parseConfig('', COMMAND_LINE) : readConfig(file), statements);
    const { config: c, warnings } = domainConfig(config);
    refuseAbsent(c);
    return {
      request: {
        name: c.name, ...(c.uuid === undefined ? {} : { uuid: c.uuid }), memory: c.memory, maxmem: c.maxmem, vcpus: c.vcpus, maxvcpus: c.maxvcpus, cmdline: c.commandLine, weight: c.cpu_weight, cap: c.cap,
        ...(c.cpus === undefined ? {} : { cpus: c.cpus.map((ranges) => affinityText(ranges, MAX_CPUS)) }),
        ...(c.kernel === undefined ? {} : { kernel: resolve(c.kernel) }), ...(c.ramdisk === undefined ? {} : { ramdisk: resolve(c.ramdisk) }),
        onPoweroff: action('on_poweroff', c.on_poweroff), onReboot: action('on_reboot', c.on_reboot), onCrash: action('on_crash', c.on_crash), paused,
      },
      warnings,
    };
  } catch (error) {
    if (error instanceof ConfigError) throw new RequestError(error.message);
    throw error;
  }
}
function readConfig(file: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new RequestError(`${file}: ${reasonOf(error)}`);
  }
  return parseConfig(text, file);
}

/** What a file may ask for and there is nothing to give yet. */
function refuseAbsent({ disks, vifs, ramdisk, kernel }: DomainConfigFile): void {
  if (disks.length > 0) throw new RequestError('disk: there are no block devices yet; give the guest what it needs in its ramdisk');
  if (vifs.length > 0) throw new RequestError('vif: there is no network yet');
  if (ramdisk !== undefined && kernel === undefined) throw new RequestError('ramdisk: the default guest has its own; give a kernel as well');
}
function action(key: string, value: ShutdownAction): EventAction {
  if (value !== 'soft-reset') return value;
  throw new RequestError(`${key} = "${value}": PV guests have no soft reset; give one of the other actions`);
}
