import { parentPort } from 'node:worker_threads';
import { errnoOf } from '../../support/os-error.ts';
import { glob } from './glob.ts';
import { GlobError } from './globs.ts';
import { type Filter, grep } from './grep.ts';
import type { FromThread, Job, ToThread } from './messages.ts';

/**
 * The search thread. It waits for the disk and for regular expressions as long as they take; who has started it ends it when that is too
 * long. One job at a time.
 */
const send = (message: FromThread): void => parentPort?.postMessage(message);

let answerFilter: ((hits: readonly number[] | undefined) => void) | undefined;

const filter: Filter = async (names) => {
  send({ kind: 'candidates', names });
  return new Promise((resolve) => void (answerFilter = resolve));
};

parentPort?.on('message', (message: ToThread) => {
  if (message.kind === 'start') void run(message.job).then(send);
  else answerFilter?.(message.hits);
});

async function run(job: Job): Promise<FromThread> {
  try {
    return job.kind === 'glob' ? glob(job, send) : await grep(job, send, filter);
  } catch (error) {
    if (error instanceof GlobError) return { kind: 'refused', problem: error.message };
    const errno = errnoOf(error);
    if (errno !== undefined) return { kind: 'failed', errno };
    throw error;
  }
}
