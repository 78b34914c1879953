import { createCipheriv, createHash } from 'node:crypto';

export const KiB = 1024;
export const MiB = 1024 * KiB;

const BLOCK = 64 * KiB;

/** Bytes without a pattern that are the same in every run: what `generator` writes. */
export function pseudoRandomBytes(length: number): Buffer {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(length));
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A program that writes the first `length` of these bytes to its standard output and ends. */
export function generator(length: number): string[] {
  const script = `
    const { createCipheriv } = require('node:crypto');
    const { writeSync } = require('node:fs');
    const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16));
    const zeros = Buffer.alloc(${BLOCK});
    for (let left = ${length}; left > 0; left -= ${BLOCK}) {
      const bytes = cipher.update(zeros.subarray(0, Math.min(left, ${BLOCK})));
      for (let done = 0; done < bytes.length;) done += writeSync(1, bytes, done);
    }`;
  return [process.execPath, '-e', script];
}
