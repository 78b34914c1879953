/** What a principal may be in an environment. */
export const roles = ['executor', 'orchestrator'] as const;
export type Role = (typeof roles)[number];

/** One role in the environments whose ids match. */
export interface Scope {
  readonly role: Role;
  /** An environment id; a `*` stands for any characters. */
  readonly environment: string;
}

/** Who a request is from. Environments live in a tenant, and nobody sees another tenant's. */
export interface Principal {
  readonly tenant: string;
  /** Within its tenant. */
  readonly subject: string;
  readonly scopes: readonly Scope[];
  /** Milliseconds since 1970; after it its tickets are no good either. */
  readonly expiresAt: number | undefined;
}

export function mayBe(principal: Principal, role: Role, environment: string): boolean {
  return principal.scopes.some((scope) => scope.role === role && matches(scope.environment, environment));
}

export function hasRole(principal: Principal, role: Role): boolean {
  return principal.scopes.some((scope) => scope.role === role);
}

/** Walks both texts once, so that no pattern takes long. */
export function matches(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === text;
  const last = rest.pop() ?? '';
  if (!text.startsWith(first) || text.length < first.length + last.length || !text.endsWith(last))
    return false;
  let at = first.length;
  const end = text.length - last.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/** `executor:ci-*`, or the role alone for all environments. */
export function readScope(text: string): Scope | undefined {
  const colon = text.indexOf(':');
  const role = roles.find((known) => known === (colon < 0 ? text : text.slice(0, colon)));
  const environment = colon < 0 ? '*' : text.slice(colon + 1);
  return role === undefined || environment === '' ? undefined : { role, environment };
}

/** One text for both, which neither can forge: a tenant has no control characters. */
export function principalKey(principal: Pick<Principal, 'tenant' | 'subject'>): string {
  return `${principal.tenant}\0${principal.subject}`;
}
