import type { Target } from '../support/conformance-targets.ts';
import type { Topic } from './case.ts';
import { attaching } from './suite/attach.ts';
import { envelope } from './suite/envelope.ts';
import { handshake } from './suite/handshake.ts';
import { limitOptions } from './suite/limit-options.ts';
import { limitsAndConcurrency } from './suite/limits.ts';
import { parameters } from './suite/parameters.ts';
import { processEnd } from './suite/process-end.ts';
import { processEnvironment } from './suite/process-environment.ts';
import { processInput } from './suite/process-input.ts';
import { processOutput } from './suite/process-output.ts';
import { processSandbox } from './suite/process-sandbox.ts';
import { processStart } from './suite/process-start.ts';
import { processStop } from './suite/process-stop.ts';
import { resuming } from './suite/resume.ts';
import { sessions } from './suite/sessions.ts';
import { shutdown } from './suite/shutdown.ts';
import { runTopics } from './topics.ts';

export const processTopics: readonly Topic[] = [
  processStart,
  processEnvironment,
  processInput,
  processOutput,
  processEnd,
  processStop,
  processSandbox,
];

/** What every executor of the protocol does, by topic. */
export const topics: readonly Topic[] = [
  handshake,
  envelope,
  parameters,
  sessions,
  resuming,
  attaching,
  ...processTopics,
  limitsAndConcurrency,
  limitOptions,
  shutdown,
];

/** Runs all cases over one kind of connection. */
export function conformance(target: Target): void {
  runTopics('the protocol', topics, target);
}
