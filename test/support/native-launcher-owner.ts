/** Starts a confined command that starts another one, says both host pids' session on standard output, and waits to be killed. */
import process from 'node:process';
import { startLauncher, type Way } from './native-launcher.ts';

const running = await startLauncher({
  way: process.argv[2] as Way,
  argv: ['/bin/sh', '-c', 'setsid sleep 1000 & trap "" HUP TERM; echo up; wait'],
  entries: [['landlock', '1']],
});
await running.shows('up');
process.stdout.write(`${running.launcher} ${running.pid()}\n`);
setInterval(() => {}, 1000);
