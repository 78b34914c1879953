import { cpus, loadavg, release, totalmem, type } from 'node:os';

/** What a reader needs to know before comparing these numbers with others. */
export function describeMachine(): Record<string, string> {
  const processors = cpus();
  const memory = (totalmem() / 1024 ** 3).toFixed(0);
  const load = loadavg().map((value) => value.toFixed(2));
  return {
    machine: `${processors.length} cores (${processors[0]?.model.trim() ?? 'unknown'}), ${memory} GiB`,
    kernel: `${type()} ${release()}`,
    node: process.version,
    'load before': load.join(' '),
  };
}
