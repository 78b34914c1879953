import { RpcError } from '../protocol/errors.ts';

/** A profile that cannot be enforced as it was meant. `rule` and `fix` are for people: what of the profile it is about, and what to change. */
export function refusal(problem: string, rule: string, fix: string): RpcError {
  return new RpcError(
    'invalidRequest',
    `The sandbox is refused: ${rule} ${problem}. To change that, ${fix}.`,
    {
      data: { sandbox: { refused: true, rule, fix } },
    },
  );
}

/** The same for what is wrong with the profile itself, whatever is on the disk. */
export function wrongProfile(problem: string, rule: string, fix: string): RpcError {
  return new RpcError(
    'invalidParams',
    `The sandbox is refused: ${rule} ${problem}. To change that, ${fix}.`,
    {
      data: { sandbox: { refused: true, rule, fix } },
    },
  );
}
