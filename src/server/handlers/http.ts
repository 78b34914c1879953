import { refuseRestrictedNetwork } from '../../http/network-permission.ts';
import type { Handlers } from '../handlers.ts';
import { refuseScarceDescriptors } from '../scarce-descriptors.ts';

type HttpHandlers = Pick<Handlers, Extract<keyof Handlers, `http/${string}`>>;

export const httpHandlers: HttpHandlers = {
  'http/request': async (params, { http, request, limits }) => {
    refuseRestrictedNetwork(params.sandbox, params.unixSocket != null);
    // Each holds a socket.
    refuseScarceDescriptors(limits);
    return http.request(params, request);
  },

  'http/cancel': ({ requestId }, { http }) => {
    http.cancel(requestId);
    return {};
  },
};
