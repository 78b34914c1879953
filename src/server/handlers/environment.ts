import type { Handlers } from '../handlers.ts';

type EnvironmentHandlers = Pick<Handlers, Extract<keyof Handlers, `environment/${string}`>>;

export const environmentHandlers: EnvironmentHandlers = {
  'environment/info': (_params, { environment }) => environment(),
  'environment/status': (_params, { draining }) => ({ status: draining() ? 'draining' : 'ready' }),
  'environment/metrics': (_params, { metrics }) => metrics(),
};
