/** Executors for `bench/rendezvous.ts`: so many sockets that register as real ones do, and answer each relay frame with the same payload. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { decodeFrame, encodeFrame } from '../src/relay/frame.ts';

const [url = '', token = '', count = '0', atOnce = '50'] = process.argv.slice(2);

const started = performance.now();
const ids = Array.from({ length: Number(count) }, (_, index) => `fleet-${index}`);
await Promise.all(
  Array.from({ length: Number(atOnce) }, async () => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) await dialOut(id);
  }),
);
process.stdout.write(`${performance.now() - started}\n`);

async function dialOut(id: string): Promise<void> {
  const answer = await fetch(`${url}/cloud/environment/${id}/register`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'x-exec-server-name': id },
  });
  if (!answer.ok) throw new Error(`${id} was refused: ${answer.status} ${await answer.text()}`);
  const { url: socketUrl } = (await answer.json()) as { url: string };
  const webSocket = new WebSocket(socketUrl, { perMessageDeflate: false });
  await once(webSocket, 'open');
  webSocket.on('message', (bytes: Buffer) => {
    const frame = decodeFrame(bytes);
    if (typeof frame === 'object' && frame.body.kind === 'data') webSocket.send(encodeFrame(frame));
  });
}
