import { createHash, randomBytes } from 'node:crypto';
import { Environment } from './environment.ts';
import type { Budget } from './lane.ts';
import type { RendezvousLimits } from './limits.ts';
import { type Principal, mayBe, principalKey } from './principal.ts';
import { Problem, limitProblem } from './problem.ts';
import type { ExecutorTransport, Registration, Store } from './store.ts';

/** What an executor asks for. */
export interface RegistrationRequest {
  /** Undefined: the service makes one. */
  readonly environment: string | undefined;
  readonly executorId: string | undefined;
  /** The same one again is the same registration. Undefined: each one is new. */
  readonly idempotencyId: string | undefined;
  readonly name: string;
  readonly version: string;
  readonly transport: ExecutorTransport;
}

interface Tenant {
  readonly environments: Map<string, Environment>;
  readonly budget: Budget;
}

/** The environments of all tenants. A tenant's are found with its name only. */
export class Directory {
  readonly #store: Store;
  readonly #limits: RendezvousLimits;
  readonly #tenants = new Map<string, Tenant>();
  /** Environments of each principal. */
  readonly #owned = new Map<string, number>();
  #count = 0;

  constructor(store: Store, limits: RendezvousLimits) {
    this.#store = store;
    this.#limits = limits;
    for (const registration of store.registrations()) this.#add(registration);
  }

  find(tenant: string, environment: string): Environment | undefined {
    return this.#tenants.get(tenant)?.environments.get(environment);
  }

  list(tenant: string): Environment[] {
    return [...(this.#tenants.get(tenant)?.environments.values() ?? [])];
  }

  *all(): Generator<Environment> {
    for (const { environments } of this.#tenants.values()) yield* environments.values();
  }

  /** Throws a Problem where it is refused. */
  register(principal: Principal, request: RegistrationRequest): Environment {
    const id = request.environment ?? madeId(principal, request.idempotencyId);
    if (!mayBe(principal, 'executor', id)) {
      throw new Problem(
        403,
        'environment_forbidden',
        'The token is not for an executor of this environment.',
      );
    }
    const known = this.find(principal.tenant, id);
    const isOwn = known?.registration.subject === principal.subject;
    if (known !== undefined && !isOwn && known.isHeld()) {
      throw new Problem(409, 'environment_taken', 'Another executor has registered this environment.', 30);
    }
    if (!isOwn) this.#makeRoom(principal, known === undefined);
    const registration = registrationOf(id, principal, request, isOwn ? known?.registration : undefined);
    this.#store.save(registration);
    if (known === undefined) return this.#add(registration);
    if (!isOwn) this.#own(known.registration, -1).#own(registration, 1);
    known.update(registration);
    return known;
  }

  /** Forgets environments whose executors have been gone for long. */
  sweep(now = Date.now()): void {
    for (const environment of this.all()) {
      if (environment.isAbsent(this.#limits.forgetMs, now)) this.#remove(environment.registration);
    }
  }

  /** Writes down when the executors were seen that are still there. */
  saveAll(): void {
    for (const { online, registration, lastSeen } of this.all()) {
      if (online) this.#store.save({ ...registration, lastSeen });
    }
  }

  #makeRoom(principal: Principal, isNew: boolean): void {
    const { principalEnvironments, tenantEnvironments, environments } = this.#limits;
    if ((this.#owned.get(principalKey(principal)) ?? 0) >= principalEnvironments) {
      throw limitProblem(429, 'Environments: the token', 'principalEnvironments', principalEnvironments);
    }
    if (!isNew) return;
    if ((this.#tenants.get(principal.tenant)?.environments.size ?? 0) >= tenantEnvironments) {
      throw limitProblem(429, 'Environments: the tenant', 'tenantEnvironments', tenantEnvironments);
    }
    if (this.#count >= environments) {
      throw limitProblem(503, 'Environments: the rendezvous', 'environments', environments);
    }
  }

  #add(registration: Registration): Environment {
    let tenant = this.#tenants.get(registration.tenant);
    if (tenant === undefined) {
      tenant = { environments: new Map(), budget: { bytes: 0, most: this.#limits.tenantQueueBytes } };
      this.#tenants.set(registration.tenant, tenant);
    }
    const environment = new Environment(registration, {
      limits: this.#limits,
      budget: tenant.budget,
      onGone: (gone) => this.#store.save(gone),
    });
    tenant.environments.set(registration.environment, environment);
    this.#own(registration, 1);
    this.#count += 1;
    return environment;
  }

  #remove(registration: Registration): void {
    const { tenant, environment } = registration;
    this.#store.remove(tenant, environment);
    const environments = this.#tenants.get(tenant)?.environments;
    environments?.delete(environment);
    if (environments?.size === 0) this.#tenants.delete(tenant);
    this.#own(registration, -1);
    this.#count -= 1;
  }

  #own(registration: Registration, change: number): this {
    const key = principalKey(registration);
    const count = (this.#owned.get(key) ?? 0) + change;
    if (count > 0) this.#owned.set(key, count);
    else this.#owned.delete(key);
    return this;
  }
}

/** The same registration again keeps its ids. */
function registrationOf(
  environment: string,
  { tenant, subject }: Principal,
  request: RegistrationRequest,
  former: Registration | undefined,
): Registration {
  const { name, version, transport, idempotencyId = '' } = request;
  const isSame = former !== undefined && idempotencyId !== '' && former.idempotencyId === idempotencyId;
  const registrationId = isSame ? former.registrationId : `reg-${randomBytes(16).toString('hex')}`;
  const executorId =
    request.executorId ?? (isSame ? former.executorId : registrationId.replace('reg', 'executor'));
  const now = Date.now();
  const since = former?.since ?? now;
  const ids = { environment, registrationId, executorId, idempotencyId };
  return { tenant, subject, ...ids, name, version, transport, since, lastSeen: now };
}

/** For an executor that names no environment: the same one for the same idempotency id. A token for one environment says which. */
function madeId(principal: Principal, idempotencyId: string | undefined): string {
  const ids = principal.scopes
    .filter(({ role }) => role === 'executor')
    .map(({ environment }) => environment);
  const [only = ''] = ids;
  if (ids.length === 1 && !only.includes('*')) return only;
  const digest =
    idempotencyId === undefined
      ? randomBytes(16)
      : createHash('sha256')
          .update(`${principalKey(principal)}\0${idempotencyId}`)
          .digest();
  return `env-${digest.toString('hex').slice(0, 24)}`;
}
