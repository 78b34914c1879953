import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Role } from './principal.ts';

/** What a ticket lets its bearer do. */
export interface Ticket {
  readonly tenant: string;
  readonly environment: string;
  readonly role: Role;
  readonly subject: string;
  /** Of the executor's registration; a later one makes it void. Empty for orchestrators. */
  readonly registration: string;
  /** Whether it may be used more than once. */
  readonly reusable: boolean;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** Which ticket it is. */
  readonly nonce: string;
}

/** In the words that clients of the protocol log. */
export type TicketProblem = 'missing_signature' | 'invalid_signature' | 'missing_expiry' | 'invalid_expiry';

const version = 'v1';
/** Characters of a ticket, far above what names of the longest make. */
const longest = 8192;

/** Signs and checks tickets (HMAC-SHA-256). Whoever has a ticket has its rights: it is never logged. */
export class Tickets {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  issue(ticket: Omit<Ticket, 'nonce'>): string {
    const nonce = randomBytes(16).toString('base64url');
    const { tenant, environment, role, subject, registration, reusable, expiresAt } = ticket;
    const claims = [tenant, environment, role, subject, registration, reusable, expiresAt, nonce];
    const text = `${version}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    return `${text}.${this.#sign(text).toString('base64url')}`;
  }

  /** Whether it has been used is not known here. */
  check(text: string, now = Date.now()): Ticket | TicketProblem {
    if (text === '') return 'missing_signature';
    if (text.length > longest) return 'invalid_signature';
    const end = text.lastIndexOf('.');
    const [signed, signature] = [text.slice(0, Math.max(end, 0)), text.slice(end + 1)];
    const expected = this.#sign(signed);
    const given = Buffer.from(signature, 'base64url');
    // One spelling each: the decoder passes over characters that it does not know.
    const isRight = given.length === expected.length && timingSafeEqual(given, expected);
    if (!isRight || signature !== expected.toString('base64url')) return 'invalid_signature';
    return readClaims(signed, now);
  }

  #sign(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest();
  }
}

/** Of a text that we have signed, by this release or another one. */
function readClaims(signed: string, now: number): Ticket | TicketProblem {
  const [tag, body = ''] = signed.split('.');
  if (tag !== version) return 'invalid_signature';
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as [
    string,
    string,
    Role,
    string,
    string,
    boolean,
    number,
    string,
  ];
  const [tenant, environment, role, subject, registration, reusable, expiresAt, nonce] = claims;
  if (typeof expiresAt !== 'number') return 'missing_expiry';
  if (expiresAt <= now) return 'invalid_expiry';
  return { tenant, environment, role, subject, registration, reusable, expiresAt, nonce };
}
