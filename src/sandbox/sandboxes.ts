import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { SandboxContext } from '../protocol/sandbox.ts';
import type { NativeSpec } from '../support/native.ts';
import { toError } from '../support/to-error.ts';
import { type HostFacts, type HostOptions, probeHost } from './host.ts';
import { type ConfinedLaunch, prepareLaunch, StalePlanError } from './launch.ts';
import { type Plan, type Refusal, type WeakerGuarantee, plan } from './plan.ts';
import { resolveSandbox } from './resolve.ts';
import type { ResolvedSandbox } from './rules.ts';
import { SandboxState } from './state.ts';
import type { Ambient } from './targets.ts';

export interface SandboxesOptions extends HostOptions {
  /** Where placeholders and the like are written down; made when a sandbox first needs it. */
  readonly stateDirectory: string;
  readonly allowWeaker?: readonly WeakerGuarantee[] | undefined;
}

/** A context with what it means here and now. */
export interface PlannedSandbox {
  readonly resolved: ResolvedSandbox;
  readonly plan: Plan;
}

/** The sandboxes of one executor: what its host can enforce, and the way from a context to a confined start. */
export class Sandboxes implements AsyncDisposable {
  readonly #options: SandboxesOptions;
  readonly #allowed: ReadonlySet<WeakerGuarantee>;
  #host: Promise<HostFacts> | undefined;
  #state: Promise<SandboxState> | undefined;

  constructor(options: SandboxesOptions) {
    this.#options = options;
    this.#allowed = new Set(options.allowWeaker);
  }

  /** Tried once, at the first call. */
  host(): Promise<HostFacts> {
    this.#host ??= probeHost(this.#options);
    return this.#host;
  }

  /** `adapt` has the last word on what is enforced. Throws an RpcError that says what cannot be, and why. */
  async plan(
    context: SandboxContext,
    ambient: Ambient,
    adapt = async (sandbox: ResolvedSandbox): Promise<ResolvedSandbox> => sandbox,
  ): Promise<PlannedSandbox> {
    const host = await this.host();
    const resolved = await adapt(await resolveSandbox(context, ambient));
    const found = plan(resolved, host, this.#allowed);
    if ('refused' in found) throw refusal(found);
    return { resolved, plan: found };
  }

  /** Confines a start; undefined where nothing needs to be enforced. Throws an RpcError when it cannot be. */
  async confine(
    command: NativeSpec,
    context: SandboxContext,
    options: Ambient & { readonly sharedMemory: boolean },
  ): Promise<ConfinedLaunch | undefined> {
    for (let attempt = 1; ; attempt++) {
      const { plan: found } = await this.plan(context, options);
      try {
        return await this.launch(command, found, options.sharedMemory);
      } catch (error) {
        if (!(error instanceof StalePlanError)) throw error;
        if (attempt >= limits.sandboxAttempts) {
          throw invalidRequest('The files that the sandbox is about change all the time; try again.');
        }
      }
    }
  }

  /** Throws a StalePlanError when the plan is not true any more. */
  async launch(command: NativeSpec, found: Plan, sharedMemory: boolean): Promise<ConfinedLaunch | undefined> {
    if (found.enforcement.enforcer === 'none') return undefined;
    const [host, state] = await Promise.all([this.host(), this.#openState()]);
    return prepareLaunch(command, { plan: found, host, state, sharedMemory });
  }

  /** Whoever puts right what is wrong with the directory need not start another executor. */
  async #openState(): Promise<SandboxState> {
    const opening = (this.#state ??= SandboxState.open(this.#options.stateDirectory));
    try {
      return await opening;
    } catch (cause) {
      if (this.#state === opening) this.#state = undefined;
      const text = `The sandbox could not be set up, and nothing was started: ${toError(cause).message}`;
      throw new RpcError('internalError', text, { data: { kind: 'sandboxFailed' }, cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const state = await this.#state?.catch(() => undefined);
    await state?.[Symbol.asyncDispose]();
  }
}

function refusal({ refused, rule, fix }: Refusal): Error {
  return invalidRequest(`${refused} ${fix === '' ? '' : `To change that, ${fix}.`}`.trim(), {
    sandbox: { refused: true, rule: rule ?? null, fix },
  });
}
