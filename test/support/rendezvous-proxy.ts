import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import { type Socket, connect } from 'node:net';

import { portOf } from './reference.ts';

/** A proxy that makes tunnels, as those of companies do for https. */
export class TunnelProxy implements AsyncDisposable {
  readonly host: string;
  /** Where tunnels were asked for. */
  readonly targets: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.host = `127.0.0.1:${portOf(server)}`;
    server.on('connect', (request, socket: Socket) => {
      const target = request.url ?? '';
      this.targets.push(target);
      const { hostname, port } = new URL(`http://${target}`);
      const onward = connect(Number(port), hostname, () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      for (const end of [socket, onward]) {
        this.#sockets.add(end);
        end.on('error', () => {});
      }
    });
  }

  static async start(): Promise<TunnelProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TunnelProxy(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
