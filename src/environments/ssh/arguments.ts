import { EnvironmentConfigError } from '../environment-error.ts';

export interface SshTarget {
  /** A name, an address, or a host of the configuration of ssh. */
  readonly host: string;
  readonly user?: string | undefined;
  readonly port?: number | undefined;
  readonly identityFile?: string | undefined;
  /** Another configuration in place of the user's. */
  readonly configFile?: string | undefined;
  /** Any options of ssh_config(5), such as `{ StrictHostKeyChecking: 'yes' }`. They win over the configuration. */
  readonly options?: Readonly<Record<string, string>> | undefined;
}

/** Nobody is there to be asked, and nothing may outlive the connection or go along with it. The first of a name wins in ssh. */
const fixed = {
  BatchMode: 'yes',
  RequestTTY: 'no',
  RemoteCommand: 'none',
  ControlMaster: 'no',
  PermitLocalCommand: 'no',
  ClearAllForwardings: 'yes',
  ForwardAgent: 'no',
  ForwardX11: 'no',
};

/** What holds where `options` says nothing. */
const usual = { ConnectTimeout: '10', ServerAliveInterval: '15', ServerAliveCountMax: '3' };

export function sshArguments(target: SshTarget, command: string): string[] {
  const { host, user, port, identityFile, configFile, options = {} } = target;
  if (host.trim() === '' || /[\s\0]/.test(host) || host.startsWith('-'))
    throw new EnvironmentConfigError('host', `${JSON.stringify(host)} is no name of a host`);
  if (user !== undefined && (!/^[^\s\0]+$/.test(user) || user.startsWith('-')))
    throw new EnvironmentConfigError('user', `${JSON.stringify(user)} is no name of a user`);
  const own = new Set(Object.keys(fixed).map((name) => name.toLowerCase()));
  for (const [name, value] of Object.entries(options)) {
    if (!/^[A-Za-z]\w*$/.test(name) || /[\n\r\0]/.test(value))
      throw new EnvironmentConfigError('options', `${JSON.stringify(name)} is no option of ssh_config(5)`);
    if (own.has(name.toLowerCase()))
      throw new EnvironmentConfigError('options', `${name} is fixed for an executor and cannot be changed`);
  }
  const all = {
    ...fixed,
    ...options,
    ...(identityFile === undefined ? {} : { IdentitiesOnly: 'yes' }),
    ...usual,
  };
  const seen = new Set<string>();
  const given = Object.entries(all).filter(([name]) => {
    const key = name.toLowerCase();
    return seen.has(key) ? false : seen.add(key);
  });
  return [
    ...(configFile === undefined ? [] : ['-F', configFile]),
    ...given.flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    ...(identityFile === undefined ? [] : ['-i', identityFile]),
    '--',
    host,
    command,
  ];
}
