// What the daemon tells the service manager that started it (sd_notify(3)): when it is ready, and that it ends. The message is a
// datagram to a unix socket, which Node cannot send; systemd's own systemd-notify(1) does it. It is a child, so the unit says
// NotifyAccess=all.

import { spawn } from 'node:child_process';

/** @param failed told why it could not be, once for each message */
export function notifyManager(variables: Readonly<Record<string, string | number>>, failed: (reason: string) => void): void {
  if (process.env['NOTIFY_SOCKET'] === undefined) return;
  const child = spawn('systemd-notify', Object.entries(variables).map(([name, value]) => `${name}=${value}`), { stdio: 'ignore' });
  child.on('error', (error) => failed(`systemd-notify: ${error.message}; without it the unit has to say Type=exec`));
  child.on('exit', (status) => { if (status !== 0) failed(`systemd-notify ended with status ${status}`); });
}
