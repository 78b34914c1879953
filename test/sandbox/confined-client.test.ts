import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ExecClient } from '../../src/client/exec-client.ts';
import { type CliChild, startCli } from '../support/cli-program.ts';
import { type Enforcer, requireSandbox, runConfined } from '../support/sandbox-arena.ts';
import { type WireSandbox, restricted, root } from '../support/sandbox-profiles.ts';

/** Asks for the upgrade and prints the status of the answer. */
const upgrade = `
import array, os, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
s = socket.create_connection((host, port), 10)
if sys.argv[3] == 'on its way':
    # While it is in the pair, no process has the descriptor.
    a, b = socket.socketpair()
    a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [s.fileno()]))])
request = f'GET / HTTP/1.1\\r\\nHost: {host}:{port}\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n'
s.sendall(request.encode())
if sys.argv[3] == 'on its way':
    s.close()
    import time
    time.sleep(1)
    _, parts, _, _ = b.recvmsg(1, socket.CMSG_SPACE(4))
    descriptors = array.array('i'); descriptors.frombytes(parts[0][2])
    s = socket.socket(fileno=descriptors[0])
print(s.recv(64).decode().split('\\r\\n')[0])
`;

const open: WireSandbox = { permissions: restricted([root('read')], { network: 'enabled' }) };

describe.each(['bubblewrap', 'landlock'] as const)(
  'an executor that confines by %s',
  (enforcer: Enforcer) => {
    let executor: CliChild;
    let client: ExecClient;
    let port: string;
    beforeAll(async () => {
      const env = enforcer === 'landlock' ? { EXEC_SERVER_BUBBLEWRAP: 'off' } : {};
      executor = startCli(['serve', '--listen', 'ws://127.0.0.1:0'], { env });
      const url = (await executor.stdout.shows(/^ws:.*\n/)).trim();
      port = new URL(url).port;
      client = await ExecClient.connect({ url });
    });
    afterAll(async () => {
      await client.close();
      executor.kill('SIGTERM');
      await executor.outcome();
    });

    test.for(['at once', 'on its way'])(
      'serves no confined process, its socket held %s',
      async (how, context) => {
        requireSandbox(context);
        const argv = ['/usr/bin/python3', '-c', upgrade, '127.0.0.1', port, how];
        const { output } = await runConfined({ client }, '', open, { argv });
        expect(output).toBe('HTTP/1.1 403 Forbidden\n');
      },
    );

    test('serves others meanwhile', async (context) => {
      requireSandbox(context);
      const processId = 'sleeps';
      const env = { PATH: '/usr/bin:/bin' };
      await client.call('process/start', {
        processId,
        argv: ['sleep', '60'],
        cwd: '/',
        env,
        tty: false,
        sandbox: open,
      });
      try {
        const argv = ['/usr/bin/python3', '-c', upgrade, '127.0.0.1', port, 'at once'];
        const { output } = await runConfined({ client }, '', null, { argv });
        expect(output).toBe('HTTP/1.1 101 Switching Protocols\n');
      } finally {
        await client.call('process/terminate', { processId });
      }
    });
  },
);
