import { randomUUID } from 'node:crypto';
import { PassThrough, type Readable } from 'node:stream';
import { limits } from '../../protocol/limits.ts';
import { ConnectionError } from '../../rpc/connection-error.ts';
import type { Hop, HopChild } from '../hop.ts';
import { type SshTarget, sshArguments } from './arguments.ts';
import { remoteCommand } from './scripts.ts';

/** What a script over there says first. */
export interface Said {
  readonly verb: string;
  readonly rest: string;
}

export interface SshChild {
  readonly child: HopChild;
  readonly said: Said;
  /** Bytes that the shell's profile has printed before. */
  readonly noiseBytes: number;
}

/** A mark that no profile prints by chance. */
export function newMark(): string {
  return `exec-server-${randomUUID()}`;
}

/** ssh itself says so of its own failures (ssh(1), "EXIT STATUS"). */
const ownFailure = 255;

export interface SshRun {
  readonly hop: Hop;
  readonly target: SshTarget;
  readonly script: string;
  /** The first one is the mark. */
  readonly args: readonly [string, ...string[]];
  readonly signal: AbortSignal;
  /** Sent while the script runs, before it says something. */
  readonly input?: Readable;
}

/** Runs a script on the other machine and waits for what it says first; the rest of its output is the child's. */
export async function runSsh({ hop, target, script, args, signal, input }: SshRun): Promise<SshChild> {
  const command = sshArguments(target, remoteCommand(script, args));
  const child = await start(hop, command, signal);
  const errors = new PassThrough();
  errors.on('error', () => {});
  let lastLines = '';
  child.stderr.on('data', (part: Buffer) => {
    lastLines = (lastLines + part.toString('latin1')).slice(-4 * limits.saidCharacters);
    // For the log, where there is one.
    if (errors.writableLength < limits.sshNoiseBytes) errors.write(part);
  });
  child.stderr.once('close', () => errors.end());
  const abandon = (): void => void child[Symbol.asyncDispose]();
  signal.addEventListener('abort', abandon, { once: true });
  try {
    const sent = input?.pipe(child.stdin);
    const failed = new Promise<never>((_resolve, reject) => void input?.once('error', reject));
    const found = await Promise.race([firstWords(child.stdout, args[0]), failed]);
    sent?.end();
    if (found !== undefined) {
      const { stdin, exited } = child;
      const stdout = new PassThrough();
      stdout.on('error', () => {});
      stdout.write(found.rest);
      child.stdout.pipe(stdout);
      child.stdout.once('close', () => stdout.end());
      const [verb = '', ...rest] = found.line.split(' ');
      return {
        said: { verb, rest: rest.join(' ') },
        noiseBytes: found.noiseBytes,
        child: {
          stdin,
          stdout,
          stderr: errors,
          exited,
          [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
        },
      };
    }
    signal.throwIfAborted();
    await child[Symbol.asyncDispose]();
    throw failure(await child.exited, hop, target, lastLines);
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  } finally {
    signal.removeEventListener('abort', abandon);
  }
}

async function start(hop: Hop, args: readonly string[], signal: AbortSignal): Promise<HopChild> {
  try {
    return await hop.spawn({ program: 'ssh', args }, signal);
  } catch (cause) {
    signal.throwIfAborted();
    const text = `ssh cannot be started on ${hop.label} (package openssh-client): ${(cause as Error).message}`;
    throw new ConnectionError('refused', text, { cause });
  }
}

/** The line with the mark, and what has come after it already. undefined: the output has ended without one. */
async function firstWords(
  stream: Readable,
  mark: string,
): Promise<{ line: string; noiseBytes: number; rest: Buffer } | undefined> {
  const sign = Buffer.from(`\n${mark} `);
  // A profile may print nothing, and the script begins with a line break.
  let text = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const done = (): void => {
      stream.off('data', take);
      stream.off('end', over);
      stream.off('close', over);
      stream.pause();
    };
    const over = (): void => {
      done();
      resolve(undefined);
    };
    const take = (part: Buffer): void => {
      text = Buffer.concat([text, part]);
      const begin = text.indexOf(sign);
      const end = begin < 0 ? -1 : text.indexOf(0x0a, begin + 1);
      if (end >= 0) {
        done();
        const line = text.toString('utf8', begin + sign.length, end);
        resolve({ line, noiseBytes: begin, rest: text.subarray(end + 1) });
      } else if (text.length > limits.sshNoiseBytes) {
        done();
        reject(
          new ConnectionError(
            'refused',
            `The shell over there prints more than ${limits.sshNoiseBytes} bytes before the executor. Let its profile print nothing where nobody types.`,
          ),
        );
      }
    };
    stream.on('data', take);
    stream.once('end', over);
    stream.once('close', over);
  });
}

function failure(
  exit: { readonly code: number | null; readonly signal: string | null },
  hop: Hop,
  { host }: SshTarget,
  errors: string,
): ConnectionError {
  const said = lastLine(errors);
  const quoted = said === '' ? '' : ` (${said})`;
  const where = hop.label === 'this machine' ? '' : ` from ${hop.label}`;
  if (exit.code === ownFailure)
    return new ConnectionError('refused', `ssh does not reach "${host}"${where}${quoted}.${advice(said)}`);
  const how = exit.signal === null ? `with status ${exit.code}` : `by ${exit.signal}`;
  return new ConnectionError(
    'refused',
    `The command that ssh runs on "${host}"${where} has ended ${how}${quoted}.`,
  );
}

/** For what happens most often. */
function advice(said: string): string {
  if (/permission denied/i.test(said))
    return ' Name a key with `identity_file`, or load it into the agent: nobody is there to type a password.';
  if (/host key verification failed/i.test(said))
    return ' Connect once by hand to accept the key of the host, or name a file with it by the option UserKnownHostsFile.';
  if (/could not resolve/i.test(said)) return ' Check the name of the host.';
  return '';
}

function lastLine(text: string): string {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  return (lines.at(-1) ?? '')
    .replace(/[^\x20-\x7e]/g, '?')
    .replace(/\.$/, '')
    .slice(0, limits.saidCharacters);
}
