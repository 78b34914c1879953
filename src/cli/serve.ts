import { access, constants, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { ConfigError, type ServeConfig, ownVariables } from '../config.ts';
import { createAuthenticator } from '../access/authenticator.ts';
import { readTokenFile } from '../disk/secret-file.ts';
import { openGuard } from '../process/guard.ts';
import { removeStaleSpills } from '../process/spill-file.ts';
import type { RendezvousSettings } from '../server/rendezvous/settings.ts';
import { ExecServer } from '../server/exec-server.ts';
import { createLogger } from '../telemetry/logger.ts';
import { stopSignal } from './stop-signal.ts';

/** Runs an executor until its client (stdio) or a signal ends it. Answers the exit status. */
export async function serve(config: ServeConfig): Promise<number> {
  await checkJournalFolder(config.journalDir);
  await removeStaleSpills(config.journalDir ?? tmpdir());
  const log = createLogger(config.logLevel);
  if (!openGuard()) log.warn({}, 'the reaper cannot run: build/Release/exec-server-reaper');
  const server = new ExecServer({
    env: ownVariables(),
    log,
    journalDirectory: config.journalDir,
    journalDiskBytes: config.journalDiskBytes,
    journalDiskTotalBytes: config.journalDiskTotalBytes,
    detachedSessionMs: config.detachedSessionSeconds * 1000,
    ripgrep: config.ripgrep,
    limits: config.limit,
    bubblewrap: config.bubblewrap,
    stateDirectory: config.stateDir,
    allowWeaker: config.allowWeaker,
    egress: { allow: config.httpAllow, deny: config.httpDeny, allowMetadata: config.httpAllowMetadata },
  });
  const stopped = stopSignal();
  if (config.listen.kind === 'stdio') {
    const { serveStdio } = await import('../server/listen-stdio.ts');
    const reason = await Promise.race([serveStdio(server), stopped]);
    // A client that is gone without a word is ordinary, and logged as every connection is.
    if (typeof reason === 'object' && !['normal', 'lost'].includes(reason.kind)) {
      log.warn({ closeKind: reason.kind }, reason.message);
    }
    await server.close(reason === 'signal' ? server.limits.drainMs : 0);
    return 0;
  }
  if (config.rendezvous !== undefined) return serveAtRendezvous(server, config.rendezvous, stopped);
  const { listenWebSocket } = await import('../server/listen-websocket.ts');
  const authenticator = config.access && (await createAuthenticator(config.access));
  if (authenticator?.secretIsShared) log.warn({}, 'the file of the secret can be read by other users');
  const listener = await listenWebSocket(server, config.listen.host, config.listen.port, {
    authenticator,
    unauthenticated: config.unauthenticated,
  });
  // The one line that standard output ever gets: whoever starts an executor waits for it.
  process.stdout.write(`${listener.url}\n`);
  await stopped;
  await server.close(server.limits.drainMs);
  await listener.close();
  return 0;
}

/** Serves clients that come through a rendezvous. */
async function serveAtRendezvous(
  server: ExecServer,
  settings: RendezvousSettings,
  stopped: Promise<'signal'>,
): Promise<number> {
  const [{ DialLoop }, { secureFrom }] = await Promise.all([
    import('../server/rendezvous/dial-loop.ts'),
    import('../server/rendezvous/secure.ts'),
  ]);
  const { credential } = settings;
  if ('file' in credential && (await readTokenFile(credential.file)).shared)
    server.log.warn({}, 'the file of the token can be read by other users');
  let announced = false;
  const loop = new DialLoop(server, settings, {
    secure: () => secureFrom(ownVariables()),
    onOnline: ({ id }) => {
      // Here, too, standard output gets one line: clients reach the executor now. An id has no blanks in this form.
      if (!announced) process.stdout.write(`registered ${encodeURIComponent(id)} as ${settings.name}\n`);
      announced = true;
    },
  });
  const stop = new AbortController();
  const running = loop.run(stop.signal);
  try {
    await Promise.race([stopped, running]);
    // The socket is there until the clients have been told how their processes ended.
    await server.close(server.limits.drainMs);
    stop.abort();
    await running;
    return 0;
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** Found out now, and not when output is lost for it. */
async function checkJournalFolder(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  const usable = await access(folder, constants.W_OK | constants.X_OK)
    .then(async () => (await stat(folder)).isDirectory())
    .catch(() => false);
  if (!usable) throw new ConfigError(`--journal-dir: "${folder}" is no folder that can be written to`);
}
