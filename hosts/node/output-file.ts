// A large file on its way to disk, piece by piece: a core file, a trace. Pieces that are all zero become holes: the core of a domain
// of 4 GiB that has touched 60 MiB takes 60.

import { open, rm, type FileHandle } from 'node:fs/promises';
import { reasonOf } from './input-file.ts';

/** The file could not be written; for the user. */
export class OutputError extends Error {}

/** What guests have in memory is nobody else's. */
const MODE = 0o600;
const zeros = Buffer.alloc(64 << 10);

/**
 * Writes a file from its pieces, in place of one that is there. Others get their turn between the pieces.
 * @param what it is, for the error
 * @returns its size in bytes
 * @throws OutputError; then the file is gone
 */
export async function writeOutput(what: string, path: string, pieces: Iterable<Uint8Array>): Promise<number> {
  let file: FileHandle | undefined;
  let isFile = false;
  try {
    file = await open(path, 'w', MODE);
    isFile = (await file.stat()).isFile();
    if (isFile) await file.chmod(MODE); // also one that was there
    return await (isFile ? writeSparse(file, pieces) : writeAll(file, pieces));
  } catch (error) {
    if (isFile) await rm(path, { force: true });
    throw new OutputError(`${what} ${path}: ${reasonOf(error)}`);
  } finally {
    await file?.close();
  }
}

async function writeSparse(file: FileHandle, pieces: Iterable<Uint8Array>): Promise<number> {
  let end = 0;
  for (const piece of pieces) {
    if (!isZero(piece)) await write(file, piece, end);
    end += piece.length;
  }
  await file.truncate(end);
  return end;
}
/** To a pipe or a device. */
async function writeAll(file: FileHandle, pieces: Iterable<Uint8Array>): Promise<number> {
  let end = 0;
  for (const piece of pieces) {
    await write(file, piece, null);
    end += piece.length;
  }
  return end;
}
/** @param at position in the file; null: behind what was written last */
async function write(file: FileHandle, piece: Uint8Array, at: number | null): Promise<void> {
  for (let done = 0; done < piece.length;) {
    const { bytesWritten } = await file.write(piece, done, piece.length - done, at === null ? null : at + done);
    done += bytesWritten;
  }
}
function isZero(piece: Uint8Array): boolean { return piece.length <= zeros.length && zeros.compare(piece, 0, piece.length, 0, piece.length) === 0; }

/** Text as pieces of a file, many lines to each. */
export function* textPieces(text: Iterable<string>): Generator<Uint8Array, void, undefined> {
  let piece = '';
  for (const part of text) {
    piece += part;
    if (piece.length < zeros.length) continue;
    yield Buffer.from(piece);
    piece = '';
  }
  yield Buffer.from(piece);
}
