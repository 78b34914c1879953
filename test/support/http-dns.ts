import { type RemoteInfo, type Socket, createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';

import type { Resolve } from '../../src/http/dial.ts';

/** A name server on loopback that answers each question for an IPv4 address with the next of its answers. */
export class NameServer implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #answers: (readonly string[])[];
  #resolver: Resolver | undefined;
  questions = 0;

  private constructor(answers: readonly (readonly string[])[]) {
    this.#answers = [...answers];
    this.#socket = createSocket('udp4', (message, from) => this.#answer(message, from));
  }

  static async start(answers: readonly (readonly string[])[]): Promise<NameServer> {
    const server = new NameServer(answers);
    server.#socket.bind(0, '127.0.0.1');
    await once(server.#socket, 'listening');
    server.#resolver = new Resolver({ timeout: 5_000, tries: 1 });
    server.#resolver.setServers([`127.0.0.1:${server.#socket.address().port}`]);
    return server;
  }

  readonly resolve: Resolve = async (host) => this.#resolver?.resolve4(host) ?? [];

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }

  #answer(question: Buffer, from: RemoteInfo): void {
    this.questions += 1;
    const addresses = (this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0]) ?? [];
    // The question ends behind the zero that ends its name, and type and class.
    const end = question.indexOf(0, 12) + 5;
    const head = Buffer.from(question.subarray(0, end));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(addresses.length, 6);
    head.writeUInt32BE(0, 8);
    const records = addresses.map((address) => {
      const record = Buffer.alloc(16);
      // Name by pointer, type A, class IN, no time to live, four bytes.
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(1, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt16BE(4, 10);
      Buffer.from(address.split('.').map(Number)).copy(record, 12);
      return record;
    });
    this.#socket.send(Buffer.concat([head, ...records]), from.port, from.address);
  }
}
