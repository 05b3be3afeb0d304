// What a new domain finds of itself in the store, as xl writes it before the domain first runs (xenstore-paths.pandoc
// lists the paths).

import { childPath, domainPath } from './path.ts';
import type { Permissions } from './permissions.ts';
import type { Store } from './store.ts';
import { LocalClient } from './local-client.ts';

export interface DomainTreeRequest {
  readonly domid: number;
  readonly name: string;
  readonly uuid: string;
  readonly memoryKiB: number;
  /** what it may have later; as much unless said otherwise */
  readonly maxMemoryKiB?: number;
  readonly vcpus: number;
  /** the first so many are to be used; all unless said otherwise */
  readonly online?: number;
  /** the guest's event channel ports and the frames of its two rings */
  readonly storePort: number;
  readonly storeMfn: number;
  readonly consolePort: number;
  readonly consoleMfn: number;
}

const CONSOLE_BUFFER = 1048576;
/** Nodes of which the domain is the owner: it, and only it, may write there. */
const DOMAIN_OWNED = [
  'device/suspend/event-channel', 'control/shutdown', 'control/feature-poweroff', 'control/feature-reboot', 'control/feature-suspend',
  'control/sysrq', 'data', 'drivers', 'feature', 'attr', 'error',
] as const;

/** Writes the domain's nodes and makes it known to the store. */
export function introduceDomain(store: Store, request: DomainTreeRequest): void {
  const { domid } = request;
  const home = domainPath(domid), vm = `/vm/${request.uuid}`, backend = `${domainPath(0)}/backend/console/${domid}/0`;
  const readable = readableBy(domid);
  const owned: Permissions = [{ domid, read: false, write: false }];
  new LocalClient(store).atomically((client) => {
    const make = (path: string, perms: Permissions): void => { client.mkdir(path); client.setPermissions(path, perms); };
    const put = (base: string, values: Readonly<Record<string, string>>): void => writeAll(client, base, values);
    for (const path of [home, vm, backend]) client.rm(path);
    make(home, readable);
    nameDomain(client, domid, request.name, request.uuid);
    writeAvailability(client, domid, request.vcpus, request.online ?? request.vcpus);
    put(home, { 'memory/static-max': String(request.maxMemoryKiB ?? request.memoryKiB), 'memory/target': String(request.memoryKiB), 'memory/videoram': '0' });
    client.mkdir(`${home}/device/suspend`);
    client.mkdir(`${home}/control`);
    for (const path of DOMAIN_OWNED) make(`${home}/${path}`, owned);
    put(home, { 'control/platform-feature-multiprocessor-suspend': '1', 'control/platform-feature-xs_reset_watches': '1', domid: String(domid) });
    put(`${home}/store`, { port: String(request.storePort), 'ring-ref': String(request.storeMfn) });
    put(`${home}/console`, {
      backend, 'backend-id': '0', limit: String(CONSOLE_BUFFER), type: 'xenconsoled', output: 'pty', tty: '',
      port: String(request.consolePort), 'ring-ref': String(request.consoleMfn),
    });
    make(backend, readable);
    put(backend, { frontend: `${home}/console`, 'frontend-id': String(domid), online: '1', state: '1', protocol: 'vt100' });
  });
  store.introduceDomain(domid);
}

/** Another domain gets a domain's name and UUID: it has these from now on, and a /vm of its own. */
export function moveVm(store: Store, domid: number, name: string, uuid: string): void { new LocalClient(store).atomically((client) => nameDomain(client, domid, name, uuid)); }

function nameDomain(client: LocalClient, domid: number, name: string, uuid: string): void {
  const vm = `/vm/${uuid}`;
  client.mkdir(vm);
  client.setPermissions(vm, readableBy(domid));
  writeAll(client, vm, { name, uuid });
  writeAll(client, domainPath(domid), { vm, name });
}
const readableBy = (domid: number): Permissions => [{ domid: 0, read: false, write: false }, { domid, read: true, write: false }];
function writeAll(client: LocalClient, base: string, values: Readonly<Record<string, string>>): void {
  for (const [leaf, value] of Object.entries(values)) client.write(childPath(base, leaf), value);
}

/** Tells the domain which of its vCPUs to use: the first ones. */
export function writeAvailability(client: LocalClient, domid: number, vcpus: number, online: number): void {
  for (let v = 0; v < vcpus; v++) client.write(`${domainPath(domid)}/cpu/${v}/availability`, v < online ? 'online' : 'offline');
}

/** Removes the domain's nodes when it is gone. */
export function releaseDomain(store: Store, domid: number, uuid: string): void {
  new LocalClient(store).atomically((client) => {
    for (const path of [domainPath(domid), `/vm/${uuid}`, `${domainPath(0)}/backend/console/${domid}`]) client.rm(path);
  });
  store.releaseDomain(domid);
}
