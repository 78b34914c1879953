import { refuseRestrictedNetwork } from '../../http/network-permission.ts';
import type { Handlers } from '../handlers.ts';

type HttpHandlers = Pick<Handlers, Extract<keyof Handlers, `http/${string}`>>;

export const httpHandlers: HttpHandlers = {
  'http/request': async (params, { http, request }) => {
    refuseRestrictedNetwork(params.sandbox, params.unixSocket != null);
    return http.request(params, request);
  },

  'http/cancel': ({ requestId }, { http }) => {
    http.cancel(requestId);
    return {};
  },
};
