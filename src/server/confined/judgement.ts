import { lstat, readlink } from 'node:fs/promises';
import { constants } from 'node:os';
import { joinPath, splitLast } from '../../disk/folder.ts';
import { systemError } from '../../file-system/file-error.ts';
import { RpcError, errorCodes } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import { partsOf } from '../../sandbox/canonical.ts';
import { type ResolvedSandbox, isAtOrBelow } from '../../sandbox/rules.ts';
import { isBelow } from '../../sandbox/rule-paths.ts';
import { type Verdict, decide } from '../../sandbox/verdict.ts';
import type { RequestPath } from './request-paths.ts';

/** What a profile says of a path of a request. */
export interface Judgement {
  /** Where the path leads, as far as the profile lets one see. */
  readonly place: Buffer;
  readonly verdict: Verdict;
  /** Links on the way. */
  readonly links: number;
  /** The profile allows what is asked. */
  readonly allows: boolean;
}

/** Follows a path as the kernel would, but looks at nothing that the profile denies: what is there is nobody's business. */
export async function judge(sandbox: ResolvedSandbox, request: RequestPath): Promise<Judgement> {
  const left = partsOf(request.path).toReversed();
  let place: Buffer = Buffer.from('/');
  let links = 0;
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    const text = name.toString('latin1');
    if (text === '.') continue;
    if (text === '..') {
      place = splitLast(place).parent;
      continue;
    }
    const next = joinPath(place, name);
    const target = left.length === 0 && !request.follow ? undefined : await linkAt(sandbox, next);
    if (target === undefined || ++links > limits.sandboxLinks) {
      place = next;
      continue;
    }
    if (target[0] === 0x2f) place = Buffer.from('/');
    left.push(...partsOf(target).toReversed());
  }
  const own = decide(sandbox, place);
  // Whether a name goes is a matter of what holds it.
  const holding = request.intent === 'remove' && own.access === 'write' ? splitLast(place).parent : place;
  const verdict = holding === place ? own : decide(sandbox, holding);
  const allows = request.intent === 'read' ? verdict.access !== 'none' : verdict.access === 'write';
  return { place, verdict, links, allows };
}

async function linkAt(sandbox: ResolvedSandbox, path: Buffer): Promise<Buffer | undefined> {
  const { access, rule } = decide(sandbox, path);
  if (access === 'none' && rule !== undefined && rule.path.length > 1) return undefined;
  const stats = await lstat(path).catch(() => undefined);
  if (stats?.isSymbolicLink() !== true) return undefined;
  return readlink(path, { encoding: 'buffer' }).catch(() => undefined);
}

/** A request that a worker must not even see: its process can read what its client may not. Throws what the kernel would answer. */
export async function refuseLifted(
  sandbox: ResolvedSandbox,
  requests: readonly RequestPath[],
  lifted: readonly Buffer[],
): Promise<void> {
  if (lifted.length === 0) return;
  for (const request of requests) {
    const judged = await judge(sandbox, request);
    if (judged.allows) continue;
    const { rule } = judged.verdict;
    // What leads to such a file inside of something denied is no real directory.
    const isInDenied = rule !== undefined && isBelow(judged.place, rule.place) && rule.path.length > 1;
    const isOnTheWay = (path: Buffer): boolean => isInDenied && isBelow(path, judged.place);
    if (lifted.some((path) => isAtOrBelow(judged.place, path) || isOnTheWay(path))) throw refused(judged);
  }
}

/** What a sandbox does not show seems to be gone already to who removes it, and must not be said to be. */
export async function refuseUnseenRemoval(
  sandbox: ResolvedSandbox,
  requests: readonly RequestPath[],
): Promise<void> {
  for (const request of requests) {
    if (request.intent !== 'remove') continue;
    const judged = await judge(sandbox, request);
    const { access, rule } = judged.verdict;
    if (access !== 'none') continue;
    if (rule === undefined || rule.path.length === 1) throw named(systemError('EROFS'), judged);
    if (rule.kind === 'directory' && isBelow(judged.place, rule.path)) throw refused(judged);
  }
}

/** The same for any path, where the kernel does not keep everything from being seen. */
export async function refuseDenied(
  sandbox: ResolvedSandbox,
  requests: readonly RequestPath[],
): Promise<void> {
  for (const request of requests) {
    const judged = await judge(sandbox, request);
    // A link may be refused as one before, and what is missing is not found; the kernel refuses the rest of these all the same.
    const mayDiffer = request.intent === 'remove' || judged.links > 0;
    const isLeft = judged.verdict.access === 'read' && !request.follow && mayDiffer;
    if (!judged.allows && !isLeft) throw refused(judged);
  }
}

function refused(judged: Judgement): RpcError {
  const { access, rule } = judged.verdict;
  const name =
    access === 'read' ? 'EROFS' : rule === undefined || rule.path.length === 1 ? 'ENOENT' : 'EACCES';
  return named(systemError(name), judged);
}

const { EACCES, EBUSY, ENOENT, EPERM, EROFS, EXDEV } = constants.errno;
/** What a kernel answers that refuses something for a sandbox. ENOENT: what is not granted is often not there at all. EXDEV: it is another mount. */
const refusals: ReadonlySet<number> = new Set([EACCES, EBUSY, ENOENT, EPERM, EROFS, EXDEV]);

/** The failure of a request with the rule that has caused it, where one has. */
export async function explain(
  error: RpcError,
  sandbox: ResolvedSandbox,
  requests: readonly RequestPath[],
): Promise<RpcError> {
  const errno = Number(/\(os error (\d+)\)/.exec(error.message)?.[1]);
  if (!refusals.has(errno) || error.data !== undefined) return error;
  for (const request of requests) {
    const judged = await judge(sandbox, request);
    if (judged.allows || (errno === ENOENT && judged.verdict.access !== 'none')) continue;
    return named(asClientsKnow(error, errno, request, judged), judged);
  }
  return error;
}

/** Mounts refuse some things by other numbers than clients know for them. */
function asClientsKnow(error: RpcError, errno: number, { intent }: RequestPath, judged: Judgement): RpcError {
  const { access, rule } = judged.verdict;
  if (errno === EXDEV) return systemError(access === 'read' ? 'EROFS' : 'EACCES');
  // In a folder that is denied but for something in it, nothing else is there, and nothing can be made.
  const isInDenied = access === 'none' && rule?.kind === 'directory' && rule.path.length > 1;
  if (isInDenied && (errno === ENOENT || errno === EROFS)) return systemError('EACCES');
  // A file is denied as one that nobody may open on a file system that is read-only, which are two answers; this is the known one.
  const isDeniedFile = access === 'none' && rule?.kind === 'file' && rule.path.equals(judged.place);
  return isDeniedFile && intent === 'write' && errno === EACCES ? systemError('EROFS') : error;
}

function named(error: RpcError, { verdict: { access, rule } }: Judgement): RpcError {
  const data = { sandbox: { access, rule: rule?.source ?? null } };
  return new RpcError(error.code, error.message, { data, cause: error });
}

/** Landlock says of every refusal that permission is denied. What may be read and not written is a read-only file system to clients. */
export async function asMounted(
  error: RpcError,
  granted: ResolvedSandbox,
  paths: readonly RequestPath[],
): Promise<RpcError> {
  if (error.code !== errorCodes.invalidRequest || !/\(os error (?:1|13)\)$/.test(error.message)) return error;
  const named = await explain(error, granted, paths);
  const { access } = (named.data as { sandbox?: { access?: string } } | undefined)?.sandbox ?? {};
  return access === 'read' ? systemError('EROFS') : error;
}
