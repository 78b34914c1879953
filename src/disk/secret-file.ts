import { constants } from 'node:fs';
import { limits } from '../protocol/limits.ts';
import { errnoOf, osErrorText } from '../support/os-error.ts';
import { openRegular } from './open-regular.ts';

export interface SecretFile {
  /** Without blanks and line ends around it. Never empty. */
  readonly secret: Buffer;
  /** Users other than its owner may read it. */
  readonly shared: boolean;
}

/** Reads a token or key from a small regular file. An error names the file, and nothing of what is in it. */
export async function readSecretFile(path: string): Promise<SecretFile> {
  const { bytes, mode } = await readSmallFile(path).catch((cause: unknown) => {
    const errno = errnoOf(cause);
    const why = errno === undefined ? (cause as Error).message : osErrorText(errno);
    throw new Error(`The secret in ${path} cannot be read: ${why}`, { cause });
  });
  const secret = Buffer.from(trimBlanks(bytes.toString('latin1')), 'latin1');
  if (secret.length === 0) throw new Error(`The secret in ${path} is empty; write one line into the file.`);
  return { secret, shared: (mode & 0o077) !== 0 };
}

/** The same for a token, which has to fit into a header. */
export async function readTokenFile(path: string): Promise<SecretFile> {
  const read = await readSecretFile(path);
  if (isToken(read.secret.toString('latin1'))) return read;
  throw new Error(
    `The secret in ${path} is no token; it must be one line of printable ASCII without blanks.`,
  );
}

export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** Blanks of ASCII only: a byte of UTF-8 can look like one of Latin-1. */
function trimBlanks(text: string): string {
  return text.replace(/^[\t-\r ]+/, '').replace(/[\t-\r ]+$/, '');
}

/** A regular file of so many bytes at most. */
export async function readSmallFile(
  path: string,
  most: number = limits.secretFileBytes,
): Promise<{ bytes: Buffer; mode: number }> {
  // A link is followed: container platforms mount secrets behind links.
  const { file, stat } = await openRegular(Buffer.from(path), constants.O_RDONLY, true);
  try {
    const buffer = Buffer.alloc(most + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > most) throw new Error(`it has more than ${most} bytes`);
    return { bytes: buffer.subarray(0, bytesRead), mode: Number(stat.mode) };
  } finally {
    await file.close();
  }
}
