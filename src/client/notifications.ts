import { z } from 'zod';
import { type Event, type ServerNotification, serverNotifications } from '../protocol/methods.ts';
import { describe } from '../rpc/decode.ts';

/** One receiver for each notification of the protocol table. A missing one does not compile. */
export type Receivers = { readonly [N in ServerNotification]: (event: Event<N>) => void };

/**
 * Checks a notification and hands it to its receiver. What this client does not know is for another kind of client. Answers what is wrong
 * with it, where something is.
 */
export function deliver(receivers: Receivers, method: string, params: unknown): string | undefined {
  if (!Object.hasOwn(serverNotifications, method)) return undefined;
  const name = method as ServerNotification;
  const decoded = z.safeParse(serverNotifications[name].params, params);
  if (!decoded.success) return `${name}: ${describe('params', decoded.error)}`;
  // The row and the receiver have the same name, so the event is the receiver's.
  const receive = receivers[name] as (event: unknown) => void;
  receive(decoded.data);
  return undefined;
}
