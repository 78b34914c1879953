/** How clients prove who they are, before anything is read. */
export type AccessSettings =
  | { readonly mode: 'capability-token'; readonly tokenFile: string }
  | { readonly mode: 'capability-token'; readonly tokenSha256: string }
  | {
      readonly mode: 'signed-bearer-token';
      readonly sharedSecretFile: string;
      readonly issuer: string | undefined;
      readonly audience: string | undefined;
      readonly maxClockSkewSeconds: number;
    };

export const accessModes = ['capability-token', 'signed-bearer-token'] as const;

/** The flags as they were given. */
export interface AccessFlags {
  readonly wsAuth?: (typeof accessModes)[number] | undefined;
  readonly wsTokenFile?: string | undefined;
  readonly wsTokenSha256?: string | undefined;
  readonly wsSharedSecretFile?: string | undefined;
  readonly wsIssuer?: string | undefined;
  readonly wsAudience?: string | undefined;
  readonly wsMaxClockSkewSeconds?: number | undefined;
}

const defaultClockSkewSeconds = 30;

/** Checks the flags against each other. Answers a text that says what is wrong; undefined where none was given. */
export function accessSettings(
  flags: AccessFlags,
  isWebSocket: boolean,
): AccessSettings | string | undefined {
  const tokenFlags = [flags.wsTokenFile, flags.wsTokenSha256];
  const signedFlags = [
    flags.wsSharedSecretFile,
    flags.wsIssuer,
    flags.wsAudience,
    flags.wsMaxClockSkewSeconds,
  ];
  const given = (values: readonly unknown[]): boolean => values.some((value) => value !== undefined);
  if (flags.wsAuth === undefined) {
    if (!given([...tokenFlags, ...signedFlags])) return undefined;
    return 'the other --ws-* flags need --ws-auth capability-token or --ws-auth signed-bearer-token';
  }
  if (!isWebSocket)
    return '--ws-auth is for a WebSocket listener; on stdio whoever starts the executor is its client';
  if (flags.wsAuth === 'capability-token') {
    if (given(signedFlags))
      return '--ws-shared-secret-file, --ws-issuer, --ws-audience and --ws-max-clock-skew-seconds need --ws-auth signed-bearer-token';
    return capabilityToken(flags);
  }
  if (given(tokenFlags)) return '--ws-token-file and --ws-token-sha256 need --ws-auth capability-token';
  return signedToken(flags);
}

function capabilityToken({ wsTokenFile, wsTokenSha256 }: AccessFlags): AccessSettings | string {
  const mode = 'capability-token';
  if (wsTokenFile !== undefined && wsTokenSha256 !== undefined)
    return '--ws-token-file and --ws-token-sha256 name two tokens; give one of them';
  if (wsTokenFile !== undefined) return { mode, tokenFile: wsTokenFile };
  if (wsTokenSha256 === undefined)
    return '--ws-auth capability-token needs --ws-token-file or --ws-token-sha256';
  if (!/^[0-9a-f]{64}$/i.test(wsTokenSha256))
    return '--ws-token-sha256 must be the SHA-256 of the token in 64 hex digits';
  return { mode, tokenSha256: wsTokenSha256 };
}

function signedToken(flags: AccessFlags): AccessSettings | string {
  const { wsSharedSecretFile, wsMaxClockSkewSeconds } = flags;
  if (wsSharedSecretFile === undefined) return '--ws-auth signed-bearer-token needs --ws-shared-secret-file';
  // An empty one would match only tokens for nobody.
  if (flags.wsAudience?.trim() === '') return '--ws-audience is empty; leave it out to take any audience';
  return {
    mode: 'signed-bearer-token',
    sharedSecretFile: wsSharedSecretFile,
    issuer: flags.wsIssuer?.trim() === '' ? undefined : flags.wsIssuer,
    audience: flags.wsAudience,
    maxClockSkewSeconds: wsMaxClockSkewSeconds ?? defaultClockSkewSeconds,
  };
}
