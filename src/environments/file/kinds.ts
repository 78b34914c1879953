import { commandEntry } from '../sources/command-entry.ts';
import { rendezvousEntry } from '../sources/rendezvous-entry.ts';
import { urlEntry } from '../sources/url-entry.ts';
import { dockerEntry } from '../docker/docker-entry.ts';
import { sshEntry } from '../ssh/ssh-entry.ts';
import type { EntryKind } from './entry-kind.ts';

/** The kinds of entries that the file knows, in the order in which errors name them. */
export const entryKinds: readonly EntryKind[] = [
  urlEntry,
  commandEntry,
  rendezvousEntry,
  sshEntry,
  dockerEntry,
];
