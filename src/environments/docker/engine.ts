import type { Readable } from 'node:stream';
import type { HopChild } from '../hop.ts';

/** A directory of the engine's host, or a volume, in a container. */
export interface Mount {
  /** An absolute path there, or the name of a volume. */
  readonly source: string;
  readonly target: string;
  readonly readOnly?: boolean | undefined;
}

/** A container to create. Its one program is the executor: it ends with that, and is removed. */
export interface ContainerSpec {
  readonly image: string;
  readonly user?: string | undefined;
  readonly network?: string | undefined;
  readonly workdir?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly mounts: readonly Mount[];
  readonly command: readonly string[];
}

export interface ContainerFacts {
  /** In full, so that a name that is given to another one meanwhile is no matter. */
  readonly id: string;
  readonly status: string;
}

export interface ExecSpec {
  readonly argv: readonly string[];
  readonly user?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
}

/** What is known of a path from the outside. */
export interface EntryFacts {
  readonly uid: number;
  readonly mode: number;
  readonly isDirectory: boolean;
}

/** What a Docker engine does for us. Every method rejects with an error that says what to do. */
export interface DockerEngine {
  /** Where it is, for errors. */
  readonly label: string;
  inspect(container: string, signal: AbortSignal): Promise<ContainerFacts>;
  /** As the runtime of Go names it: `amd64`, `arm64`. */
  architecture(image: string, signal: AbortSignal): Promise<string>;
  create(spec: ContainerSpec, signal: AbortSignal): Promise<string>;
  /** Starts a created container with its streams attached. */
  run(container: string, signal: AbortSignal): Promise<HopChild>;
  /** Ends and removes it. Nothing happens where it is not there any more. */
  remove(container: string): Promise<void>;
  /** Unpacks a tar in a folder of a container. */
  put(container: string, folder: string, tar: Readable, signal: AbortSignal): Promise<void>;
  entry(container: string, path: string, signal: AbortSignal): Promise<EntryFacts | undefined>;
  /** The child is not ended by the engine when its streams are: its disposal closes its input and waits for its own end. */
  exec(container: string, spec: ExecSpec, signal: AbortSignal): Promise<HopChild>;
}

/** Marks what we create, for those who look at a list of containers. */
export const ownLabel = 'exec-server.environment';
