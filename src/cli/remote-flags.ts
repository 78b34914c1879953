/** Flags of `serve` for an executor that registers with a rendezvous in place of listening: as commander takes them. */
export const remoteFlags: readonly (readonly [flags: string, description: string])[] = [
  ['--remote <url>', 'register with the rendezvous at this http(s) URL, and open no port'],
  ['--environment-id <id>', '--remote: the environment that this executor serves'],
  ['--name <name>', '--remote: what lists show of this executor (default: the host name)'],
  [
    '--remote-token-file <path>',
    '--remote, --cloud: the file with the bearer token; read at each registration',
  ],
  [
    '--remote-transport <kind>',
    '--remote: ask for relay frames (relay) or plain sockets (direct); default: either',
  ],
  ['--remote-allow-http', '--remote: send the token over plain http to another machine'],
  ['--chatgpt-account-id <id>', '--remote, --cloud: the account that the token is for'],
  ['--executor-id <id>', '--remote: register as this executor, as releases of May 2026 did'],
  ['--cloud', 'register as the cloud environments of May 2026 were'],
  ['--cloud-base-url <url>', '--cloud: the registry (or CODEX_CLOUD_ENVIRONMENTS_BASE_URL)'],
  ['--cloud-environment-id <id>', '--cloud: an environment that exists (default: the service chooses)'],
  ['--cloud-name <name>', '--cloud: what lists show of this executor (default: codex-exec-server)'],
];
