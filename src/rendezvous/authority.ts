import { sameText } from '../support/same-text.ts';
import { type Principal, principalKey } from './principal.ts';
import { type TokenEntry, readTokens, tokenDigest } from './token-file.ts';
import { type WebTokenCheck, type WebTokenSettings, webTokenCheck } from './web-tokens.ts';

export interface AuthoritySettings {
  readonly tokens: string | undefined;
  readonly webTokens: WebTokenSettings | undefined;
}

/** Hex digits of a digest that a search may tell. */
const searchedDigits = 8;

/** Knows principals by their tokens. */
export interface Authority {
  /** Something that an operator should know; undefined if there is nothing. */
  readonly warning: string | undefined;
  /** Nobody is asked for a token. */
  readonly isOpen: boolean;
  /** `authorization`: the value of that header. */
  admit(authorization: string | undefined): Promise<Principal | undefined>;
  /** Whether a principal of an earlier request is still one. */
  isKnown(tenant: string, subject: string): boolean;
  /** Reads the file of tokens again. The former tokens stay in force if that fails. */
  reload(): Promise<void>;
}

/** Nobody is asked: everybody is the same principal, who may do anything. For loopback. */
export const anybody: Authority = {
  warning: undefined,
  isOpen: true,
  admit: async () => ({
    tenant: 'default',
    subject: 'anybody',
    scopes: [
      { role: 'executor', environment: '*' },
      { role: 'orchestrator', environment: '*' },
    ],
    expiresAt: undefined,
  }),
  isKnown: () => true,
  reload: async () => {},
};

/** Reads the files. Throws what is wrong with them. */
export async function createAuthority(settings: AuthoritySettings): Promise<Authority> {
  const { tokens, webTokens } = settings;
  const authority = new FileAuthority(
    tokens,
    webTokens === undefined ? undefined : await webTokenCheck(webTokens),
  );
  await authority.reload();
  return authority;
}

class FileAuthority implements Authority {
  readonly isOpen = false;
  readonly #file: string | undefined;
  readonly #checkWebToken: WebTokenCheck | undefined;
  #isWritableByOthers = false;
  /** By the first digits of their digests: what the time of the search tells is no help to find a token. */
  #entries = new Map<string, TokenEntry[]>();
  /** When the last token of each principal expires. */
  #known = new Map<string, number>();

  constructor(file: string | undefined, checkWebToken: WebTokenCheck | undefined) {
    this.#file = file;
    this.#checkWebToken = checkWebToken;
  }

  get warning(): string | undefined {
    return this.#isWritableByOthers ? 'the file of tokens can be written to by other users' : undefined;
  }

  async admit(authorization: string | undefined): Promise<Principal | undefined> {
    const token = /^bearer +([\x21-\x7e]+)[ \t]*$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) return undefined;
    const principal = this.#fromFile(tokenDigest(token)) ?? (await this.#fromSignature(token));
    return principal === undefined || (principal.expiresAt ?? Infinity) <= Date.now() ? undefined : principal;
  }

  isKnown(tenant: string, subject: string): boolean {
    // A signed token ends with its time, and nothing else ends it.
    if (subject.startsWith('jwt:')) return this.#checkWebToken !== undefined;
    return (this.#known.get(principalKey({ tenant, subject })) ?? 0) > Date.now();
  }

  async reload(): Promise<void> {
    if (this.#file === undefined) return;
    const { entries, isWritableByOthers } = await readTokens(this.#file);
    const known = new Map<string, number>();
    for (const { principal } of entries) {
      const key = principalKey(principal);
      known.set(key, Math.max(known.get(key) ?? 0, principal.expiresAt ?? Infinity));
    }
    this.#entries = Map.groupBy(entries, ({ digest }) => digest.slice(0, searchedDigits));
    this.#known = known;
    this.#isWritableByOthers = isWritableByOthers;
  }

  #fromFile(digest: string): Principal | undefined {
    const candidates = this.#entries.get(digest.slice(0, searchedDigits)) ?? [];
    return candidates.find((entry) => sameText(entry.digest, digest))?.principal;
  }

  async #fromSignature(token: string): Promise<Principal | undefined> {
    if (this.#checkWebToken === undefined || token.split('.').length !== 3) return undefined;
    return this.#checkWebToken(token);
  }
}
