// Why a daemon cannot begin, or cannot keep its state: for the administrator, with what to do about it.

import { dirname } from 'node:path';

export class DaemonError extends Error {}

/** There is one daemon for each state directory. */
export function alreadyRuns(state: string): DaemonError {
  return new DaemonError(`a daemon runs already with its state in ${state}; --state DIR gives another one a place of its own`);
}

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: 'permission denied: give the directory to the user who runs the daemon, or choose another one with --state DIR',
  EPERM: 'permission denied: give the directory to the user who runs the daemon, or choose another one with --state DIR',
  EROFS: 'the file system is read-only: mount it for writing, or choose another directory with --state DIR',
  ENOSPC: 'the disk is full: make room on it, and try again',
  EDQUOT: 'the disk quota is used up: make room, and try again',
  ENOTDIR: 'part of the path is no directory: choose another one with --state DIR',
  EEXIST: 'it is no directory: choose another one with --state DIR',
  EISDIR: 'there is a directory where a file should be: move it away, or choose another state directory with --state DIR',
  EINVAL: 'the path is too long for a socket: choose a shorter one with --state DIR',
};

/** What the file system said about a file of the state directory; other errors as they are. */
export function stateTrouble(error: unknown, path: string): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  return Object.hasOwn(ADVICE, code) ? new DaemonError(`the state cannot be kept in ${dirname(path)}: ${ADVICE[code]}`) : error;
}
