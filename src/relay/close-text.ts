import { limits } from '../protocol/limits.ts';
import { type CloseReason, closeCodes } from '../rpc/transport.ts';

/** Why a stream ends, as a reset frame says it. */
export function resetText(reason: CloseReason): string {
  return `${reason.kind}: ${reason.message}`.slice(0, limits.relayReasonLength);
}

/** From such a text. What others say has no kind; the session may come back over another stream. */
export function resetReason(text: string): CloseReason {
  const message = text.slice(0, limits.relayReasonLength);
  const [, kind = '', rest = ''] = /^(\w+): (.*)$/s.exec(message) ?? [];
  if (Object.hasOwn(closeCodes, kind)) return { kind: kind as keyof typeof closeCodes, message: rest };
  return { kind: 'lost', message: kind === 'lost' ? rest : message };
}
