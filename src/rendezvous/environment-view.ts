import type { Directory } from './directory.ts';
import { type Principal, mayBe } from './principal.ts';

/** What an orchestrator is told of an environment; the names are those of the wire. */
export interface EnvironmentView {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly transport: string;
  readonly since: string;
  readonly last_seen: string;
  readonly streams: number;
  readonly online: boolean;
}

/** The environments that a principal may reach, by their ids. */
export function viewsFor(directory: Directory, principal: Principal): EnvironmentView[] {
  return directory
    .list(principal.tenant)
    .toSorted((one, other) => (one.registration.environment < other.registration.environment ? -1 : 1))
    .filter(({ registration }) => mayBe(principal, 'orchestrator', registration.environment))
    .map((environment) => {
      const { environment: id, name, version, transport, since } = environment.registration;
      return {
        id,
        name,
        version,
        transport,
        since: new Date(since).toISOString(),
        last_seen: new Date(environment.lastSeen).toISOString(),
        streams: environment.exchange.streams,
        online: environment.online,
      };
    });
}
