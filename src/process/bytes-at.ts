/** A few bytes of a file, read in place. */
import { closeSync, openSync, readSync } from 'node:fs';

/** Zeroes where the file ends before. Throws where it cannot be read. */
export function bytesAt(path: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const file = openSync(path, 'r');
  try {
    readSync(file, bytes, 0, length, offset);
  } finally {
    closeSync(file);
  }
  return bytes;
}
