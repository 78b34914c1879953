import { ConnectionError } from '../../rpc/connection-error.ts';
import { limits } from '../../protocol/limits.ts';

/** What the engine or its command line says, and what to do about it. The first that fits. */
const advices: readonly (readonly [RegExp, (about: About) => string])[] = [
  [
    /ENOENT.*sock|ECONNREFUSED|EACCES|Cannot connect to the Docker daemon|permission denied.*(?:sock|daemon)|ENOTFOUND|EHOSTUNREACH/i,
    ({ engine }) =>
      `${engine} cannot be reached. Start dockerd, join the group of its socket, or name another engine by the option \`engine\` or DOCKER_HOST`,
  ],
  [
    /could not find the file|not a directory/i,
    () => 'the folder for the executor is not there. Create it, or name another one with the option `folder`',
  ],
  [
    /no such container/i,
    ({ target }) => `there is no container ${target}. \`docker ps --all\` lists those that there are`,
  ],
  [
    /no such image|manifest unknown|unable to find image|pull access denied/i,
    ({ target }) =>
      `the engine has no image ${target}. \`docker pull\` brings one, \`docker build\` makes one`,
  ],
  [
    /is not running|container stopped/i,
    ({ target }) => `container ${target} is not running. \`docker start\` starts it`,
  ],
  [/is paused/i, ({ target }) => `container ${target} is paused. \`docker unpause\` lets it go on`],
  [
    /read-only/i,
    () =>
      'the executor cannot be put into a read-only root. Name a folder on a writable volume with the option `folder`',
  ],
  [
    /no space left/i,
    () =>
      'there is no space left for the executor, about 110 MiB. Make some, or name a folder on another volume with the option `folder`',
  ],
  [
    /exec format error/i,
    () =>
      'the container is of another architecture than the bundle. Name a bundle for it with the option `bundle`',
  ],
  [
    /(?:bin\/node|docker-init|exec).*no such file or directory|GLIBC_[\d.]+' not found|cannot execute/i,
    () =>
      "the executor's Node does not run there: it needs glibc 2.28 or later, which images of Alpine do not have",
  ],
  [
    /unable to find user|no matching entries in passwd/i,
    () => 'the container has no such user. Name one that it has, or a number, with the option `user`',
  ],
  [
    /network .* not found/i,
    () => 'the engine has no such network. `docker network ls` lists those that there are',
  ],
];

interface About {
  readonly engine: string;
  /** The name of a container or image, quoted. */
  readonly target: string;
}

/** A failure of the engine as an error that says what to do. */
export function explain(cause: unknown, about: About): ConnectionError {
  if (cause instanceof ConnectionError) return cause;
  const said = saidBy(cause);
  const advice = advices.find(([pattern]) => pattern.test(said))?.[1](about);
  const message = advice ?? `${about.engine} refuses this`;
  return new ConnectionError('refused', `${message} (${said}).`, { cause });
}

/** One line of it, within bounds: some of it comes from the container. */
function saidBy(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  // The client puts its own words before those of the engine.
  const line = /[^\n]*$/.exec(text.trim().replace(/^\(HTTP code \d+\) .*? - /, ''))?.[0] ?? '';
  return line
    .replace(/[^\x20-\x7e]/g, '?')
    .replace(/\.+$/, '')
    .slice(0, limits.saidCharacters);
}
