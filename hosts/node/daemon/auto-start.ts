// Domains that start with the daemon: STATE/auto holds their xl.cfg files or links to them, as /etc/xen/auto does for
// xendomains. They are started in the order of the files' names, unless there is a domain of that name already.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '#base/error-text.ts';
import type { Domains, Log } from '#toolstack/lifecycle/domains.ts';
import { configRequest } from '../create-request.ts';
import { reasonOf } from '../input-file.ts';
import type { KeptDomains } from './kept-domains.ts';

/** A file that cannot be used is named in the log; the others are started all the same. */
export async function autoStart(directory: string, domains: Domains, kept: KeptDomains, log: Log): Promise<void> {
  for (const file of filesIn(directory, log)) {
    if (domains.isEnding) return;
    try {
      const { request, warnings } = configRequest(file, [], false);
      for (const warning of warnings) log(warning, 'warning');
      if (!domains.list().some((d) => d.spec.name === request.name)) await kept.create(request);
    } catch (error) {
      log(`${file}: not started: ${messageOf(error)}`, 'error');
    }
  }
}
/** Hidden files and the copies that editors make are none. */
function filesIn(directory: string, log: Log): string[] {
  try {
    return readdirSync(directory).filter((name) => !/^\.|~$/.test(name)).toSorted().map((name) => join(directory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log(`${directory}: ${reasonOf(error)}`, 'error');
    return [];
  }
}
