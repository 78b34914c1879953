import { isAscii, isUtf8 } from 'node:buffer';
import { WebSocket } from 'ws';
import { limitOption } from '../protocol/limit-settings.ts';
import { giveBack } from '../support/give-back.ts';
import { OpenWebSocket } from './open-web-socket.ts';
import { type Transport, type TransportEvents, closeCodes } from './transport.ts';

const ownReasons: Readonly<Record<number, string>> = {
  [closeCodes.protocolError]: 'a frame was malformed',
  [closeCodes.notText]: 'a text frame was not UTF-8',
  [closeCodes.tooBig]: `a message was too long ${limitOption('messageBytes')}`,
};

/** Gives a reason to the Close frames that the library sends by itself. */
export class ReasonedWebSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? (code === undefined ? undefined : ownReasons[code]));
  }
}

/** One message a frame. */
export class WebSocketTransport extends OpenWebSocket implements Transport {
  readonly kind = 'websocket';

  attach(events: TransportEvents): void {
    this.listen({
      onMessage: (data, isBinary) => {
        if (isBinary && !isUtf8(data)) return events.onGarbage('is not UTF-8');
        // Base64 makes most long messages ASCII, which is quicker to take as Latin-1.
        const text = data.toString(isAscii(data) ? 'latin1' : 'utf8');
        giveBack(data);
        events.onMessage(text);
      },
      onDrain: () => events.onDrain(),
      onClose: (reason) => events.onClose(reason),
    });
  }

  send(message: string | Buffer): void {
    this.write(message, false, typeof message === 'string' ? undefined : () => giveBack(message));
  }
}
