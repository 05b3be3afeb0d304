// Socket files that nobody but their owner may open, from the moment that they are there: they are made in a directory of ours and
// then moved.

import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
import { dirname, join } from 'node:path';

/**
 * Has a server listen, in the place of a file that is there.
 * @returns the file's inode, which tells it from one that takes its place
 * @throws Error of the file system; the server is closed then
 */
export async function listenPrivately(server: Server, path: string): Promise<bigint> {
  const directory = mkdtempSync(join(dirname(path), '.xs-'));
  try {
    const made = join(directory, 's');
    await new Promise<void>((done, failed) => {
      server.once('error', failed);
      server.listen(made, done);
    });
    chmodSync(made, 0o600);
    const { ino } = lstatSync(made, { bigint: true });
    renameSync(made, path);
    return ino;
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
