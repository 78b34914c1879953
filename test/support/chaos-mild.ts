import { startChaosProxy } from './chaos-proxy.ts';
import { Chance } from './faults-random.ts';

export interface Road extends AsyncDisposable {
  readonly url: string;
}

/** The way to an executor: straight, or in the project `chaos` through a proxy that lets everything arrive late and in pieces. */
export async function roadTo(executorUrl: string): Promise<Road> {
  if (process.env['EXEC_SERVER_TEST_ROAD'] !== 'chaos')
    return { url: executorUrl, [Symbol.asyncDispose]: async () => {} };
  return startChaosProxy(executorUrl, { mild: new Chance(20_261_120, 0) });
}
