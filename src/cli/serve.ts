import { access, constants, stat } from 'node:fs/promises';
import { ConfigError, type ServeConfig, ownVariables } from '../config.ts';
import { limits } from '../protocol/limits.ts';
import { ExecServer } from '../server/exec-server.ts';
import { createLogger } from '../telemetry/logger.ts';

/** Runs an executor until its client (stdio) or a signal ends it. Answers the exit status. */
export async function serve(config: ServeConfig): Promise<number> {
  await checkJournalFolder(config.journalDir);
  const log = createLogger(config.logLevel);
  const server = new ExecServer({
    env: ownVariables(),
    log,
    journalDirectory: config.journalDir,
    journalDiskBytes: config.journalDiskBytes,
    journalDiskTotalBytes: config.journalDiskTotalBytes,
    ripgrep: config.ripgrep,
    bubblewrap: config.bubblewrap,
    stateDirectory: config.stateDir,
    allowWeaker: config.allowWeaker,
  });
  const stopped = stopSignal();
  if (config.listen.kind === 'stdio') {
    const { serveStdio } = await import('../server/listen-stdio.ts');
    const reason = await Promise.race([serveStdio(server), stopped]);
    // A client that is gone without a word is ordinary, and logged as every connection is.
    if (typeof reason === 'object' && !['normal', 'lost'].includes(reason.kind)) {
      log.warn({ closeKind: reason.kind }, reason.message);
    }
    await server.close(reason === 'signal' ? limits.stopGraceMs : 0);
    return 0;
  }
  const { listenWebSocket } = await import('../server/listen-websocket.ts');
  const listener = await listenWebSocket(server, config.listen.host, config.listen.port);
  // The one line that standard output ever gets: whoever starts an executor waits for it.
  process.stdout.write(`${listener.url}\n`);
  await stopped;
  await server.close(limits.stopGraceMs);
  await listener.close();
  return 0;
}

/** Found out now, and not when output is lost for it. */
async function checkJournalFolder(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  const usable = await access(folder, constants.W_OK | constants.X_OK)
    .then(async () => (await stat(folder)).isDirectory())
    .catch(() => false);
  if (!usable) throw new ConfigError(`--journal-dir: "${folder}" is no folder that can be written to`);
}

/** Resolves at the first TERM or INT. A second one ends the process at once. */
async function stopSignal(): Promise<'signal'> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(1);
        asked = true;
        resolve('signal');
      });
    }
  });
}
