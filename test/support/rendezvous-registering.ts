import { afterEach, beforeEach, expect } from 'vitest';

import type { Registration } from '../../src/server/rendezvous/answer.ts';
import { RegistrationError } from '../../src/server/rendezvous/registration-error.ts';
import { Registrar } from '../../src/server/rendezvous/registration.ts';
import type { Secure } from '../../src/server/rendezvous/secure.ts';
import type { RendezvousSettings } from '../../src/server/rendezvous/settings.ts';
import { RecordedRegistry } from './rendezvous-registry.ts';

export const bearer = 'top-secret-token';

/** Where answers say that the socket is. */
export const url = 'wss://rendezvous.example.org/socket?signature=hidden';
export const inEnvironment = { environment_id: 'env-1', url };

export const noSecure = async (): Promise<Secure> => {
  throw new Error('Nothing here is https.');
};

type Changes = Partial<RendezvousSettings>;

export function settingsFor(registry: RecordedRegistry, changes: Changes = {}): RendezvousSettings {
  return {
    registry: registry.url,
    endpoint: 'environment',
    id: 'env-1',
    name: 'box',
    framings: ['relay_v1', 'direct_jsonrpc_v1'],
    credential: { variable: 'EXEC_SERVER_REMOTE_TOKEN', token: bearer },
    accountId: undefined,
    allowHttp: false,
    ...changes,
  };
}

/** Registers once. */
export async function registerAt(
  registry: RecordedRegistry,
  changes: Changes = {},
  timeoutMs?: number,
): Promise<Registration> {
  const registrar = new Registrar(settingsFor(registry, changes), noSecure, timeoutMs);
  return registrar.register(new AbortController().signal);
}

/** How it fails: never with a text that gives a secret away. */
export async function failureAt(
  registry: RecordedRegistry,
  changes: Changes = {},
  timeoutMs?: number,
): Promise<RegistrationError> {
  const outcome: unknown = await registerAt(registry, changes, timeoutMs).catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(RegistrationError);
  const error = outcome as RegistrationError;
  expect(error.message).not.toContain(bearer);
  expect(error.message).not.toContain('hidden');
  return error;
}

export interface RegistryArena {
  readonly registry: RecordedRegistry;
  readonly register: (changes?: Changes) => Promise<Registration>;
  readonly failure: (changes?: Changes, timeoutMs?: number) => Promise<RegistrationError>;
}

/** A registry for each test of a file, and how it is asked. */
export function registryArena(): RegistryArena {
  let registry: RecordedRegistry | undefined;
  const running = (): RecordedRegistry => {
    if (registry === undefined) throw new Error('No test runs.');
    return registry;
  };

  beforeEach(async () => {
    registry = await RecordedRegistry.start();
  });

  afterEach(async () => registry?.[Symbol.asyncDispose]());

  return {
    get registry() {
      return running();
    },
    register: async (changes) => registerAt(running(), changes),
    failure: async (changes, timeoutMs) => failureAt(running(), changes, timeoutMs),
  };
}
