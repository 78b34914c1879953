import { dialAddress } from '../../client/address.ts';
import { ExecClient, type RendezvousAddress } from '../../client/exec-client.ts';
import type { EnvironmentSource } from '../environment-source.ts';
import { urlLabel } from './url-source.ts';

/** The rendezvous, the id of the environment there, and the token of an orchestrator. */
export type RendezvousSourceOptions = RendezvousAddress;

/** An executor that has dialled out to a rendezvous. A lost connection comes back with its session. */
export function rendezvousSource(options: RendezvousSourceOptions): EnvironmentSource {
  return {
    kind: 'rendezvous',
    label: `"${options.environmentId}" at ${urlLabel(options.rendezvous)}`,
    open: async ({ connect, signal }) => {
      const client = await ExecClient.connect(options, { ...connect, signal });
      return { client, [Symbol.asyncDispose]: () => client.close() };
    },
    // Whoever speaks the protocol himself sees to coming back.
    dial: async ({ signal }) => dialAddress(options, 0, signal),
  };
}
