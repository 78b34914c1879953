import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { toError } from '../support/to-error.ts';
import { type Registration, type Store, transports } from './store.ts';

/** In the order of the columns. */
const columns = [
  'tenant',
  'environment',
  'subject',
  'name',
  'version',
  'transport',
  'registrationId',
  'executorId',
  'idempotencyId',
  'since',
  'lastSeen',
] as const satisfies readonly (keyof Registration)[];

const schema = `
  CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS used_ticket (nonce TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS registration (
    tenant TEXT NOT NULL, environment TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    transport TEXT NOT NULL, registrationId TEXT NOT NULL, executorId TEXT NOT NULL, idempotencyId TEXT NOT NULL,
    since INTEGER NOT NULL, lastSeen INTEGER NOT NULL,
    PRIMARY KEY (tenant, environment)
  ) STRICT;
`;

/** Opens a file of SQLite that this process alone uses, or makes it. Throws what is wrong with it. */
export async function openStore(path: string): Promise<Store> {
  await makePrivate(path);
  const { DatabaseSync } = await quietly(() => import('node:sqlite'));
  try {
    const database = new DatabaseSync(path);
    // Nobody else may have it open, which also keeps its index of the log out of the file system.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
    return new SqliteStore(database);
  } catch (cause) {
    const text = toError(cause).message;
    throw new Error(`The data file ${path} cannot be used: ${text}. Another rendezvous may have it open.`, {
      cause,
    });
  }
}

class SqliteStore implements Store {
  readonly key: Buffer;
  readonly #database: DatabaseSync;
  readonly #save: StatementSync;
  readonly #remove: StatementSync;
  readonly #use: StatementSync;
  readonly #forget: StatementSync;
  #used: number;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.key = ticketKey(database);
    const places = columns.map(() => '?').join(', ');
    this.#save = database.prepare(
      `INSERT OR REPLACE INTO registration (${columns.join(', ')}) VALUES (${places})`,
    );
    this.#remove = database.prepare('DELETE FROM registration WHERE tenant = ? AND environment = ?');
    this.#use = database.prepare('INSERT OR IGNORE INTO used_ticket VALUES (?, ?)');
    this.#forget = database.prepare('DELETE FROM used_ticket WHERE expires_at <= ?');
    this.#forget.run(Date.now());
    this.#used = (database.prepare('SELECT count(*) AS n FROM used_ticket').get() as { n: number }).n;
  }

  registrations(): Registration[] {
    const rows = this.#database.prepare('SELECT * FROM registration').all() as unknown as Registration[];
    // What a later release has written may be unknown here.
    return rows.filter((row) => transports.includes(row.transport));
  }

  save(registration: Registration): void {
    this.#save.run(...columns.map((column) => registration[column]));
  }

  remove(tenant: string, environment: string): void {
    this.#remove.run(tenant, environment);
  }

  useTicket(nonce: string, expiresAt: number, most: number): boolean {
    if (this.#used >= most) this.#used -= Number(this.#forget.run(Date.now()).changes);
    if (this.#used >= most || this.#use.run(nonce, expiresAt).changes === 0) return false;
    this.#used += 1;
    return true;
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function ticketKey(database: DatabaseSync): Buffer {
  const kept = database.prepare("SELECT value FROM secret WHERE name = 'tickets'").get();
  if (kept !== undefined) return Buffer.from((kept as { value: Uint8Array }).value);
  const key = randomBytes(32);
  database.prepare("INSERT INTO secret VALUES ('tickets', ?)").run(key);
  return key;
}

/** The file holds the key of tickets. */
async function makePrivate(path: string): Promise<void> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;
  await using file = await open(path, flags, 0o600).catch((cause: unknown) => {
    throw new Error(`The data file ${path} cannot be opened: ${toError(cause).message}`, { cause });
  });
  const stat = await file.stat();
  if (!stat.isFile()) throw new Error(`The data file ${path} is not a regular file.`);
  if ((stat.mode & 0o077) !== 0) {
    throw new Error(
      `The data file ${path} can be used by other users, and has a key in it; run \`chmod 600\` on it.`,
    );
  }
}

/** Node warns that the module may change, which is nothing for whoever runs this. */
async function quietly<T>(load: () => Promise<T>): Promise<T> {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => {};
  try {
    return await load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
