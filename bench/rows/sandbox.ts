import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { latencies, milliseconds, type Sample } from '../stats.ts';
import { WireClient } from '../wire-client.ts';
import { NotApplicable, type Row, type Subject } from './row.ts';

const SPAWNS = 20;
/** Not below the temporary directory: that is writable in the profiles that agents use. */
const PARENT = '/var/tmp';

/** What agents run their commands under: everything can be read, the workspace written to, and there is no network. */
function workspaceWrite(workspace: string): object {
  const special = (kind: string, access: string) => ({ path: { type: 'special', value: { kind } }, access });
  const entries = [special('root', 'read'), special('project_roots', 'write')];
  return {
    permissions: { type: 'managed', network: 'restricted', file_system: { type: 'restricted', entries } },
    cwd: workspace,
    workspaceRoots: [workspace],
    windowsSandboxLevel: 'disabled',
  };
}

export const sandboxedSpawn: Row = {
  name: 'sandboxed-spawn',
  title: `Sandboxed spawn of /bin/true until closed (${SPAWNS} in turn)`,
  servedByNull: false,
  run: async ({ url, target }: Subject): Promise<readonly Sample[]> => {
    if (process.platform !== 'linux') throw new NotApplicable('only Linux has these sandboxes');
    // Releases that take plain paths know no sandbox of a process.
    if (!target.cwd.startsWith('file:'))
      throw new NotApplicable('this release confines no process by itself');
    const folder = await mkdtemp(path.join(PARENT, 'exec-bench-'));
    try {
      using client = await WireClient.open(url);
      const cwd = pathToFileURL(folder).href;
      const sandbox = workspaceWrite(cwd);
      const times: number[] = [];
      let answered = 0;
      for (let process = 0; process < SPAWNS; process += 1) {
        const before = performance.now();
        const { run, started } = client.start({ argv: ['/bin/true'], cwd, sandbox });
        const reply = started.then(() => performance.now());
        await run.closed;
        answered += (await reply) - before;
        times.push(performance.now() - before);
        run.expectExitCode(0);
      }
      return [milliseconds('reply to process/start', answered / SPAWNS), ...latencies(times)];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
