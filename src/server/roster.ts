import type { ManagedProcess } from '../process/managed-process.ts';
import type { AttachRole } from '../protocol/attach.ts';
import { RpcError, invalidRequest } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { WireEvent } from '../protocol/methods.ts';
import type { TerminalSize } from '../protocol/process.ts';

type Change = Omit<WireEvent<'process/attachments'>, 'processId'>;

/** One connection at one process. */
export interface Attachment {
  readonly id: string;
  /** It is the connection of the process's own session. */
  readonly isHome: boolean;
  readonly tell: (change: Change) => void;
}

interface Member {
  role: AttachRole;
  size: TerminalSize | null;
}

/** Who is attached to a process that several sessions see: one owner at most, and whose size counts. */
export class Roster {
  readonly #process: ManagedProcess;
  readonly #onAlone: () => void;
  readonly #members = new Map<Attachment, Member>();

  /** `onAlone`: nobody of another session is left. */
  constructor(process: ManagedProcess, onAlone: () => void) {
    this.#process = process;
    this.#onAlone = onAlone;
  }

  role(attachment: Attachment): AttachRole | undefined {
    return this.#members.get(attachment)?.role;
  }

  /** Attaches, or changes a role. An owner before becomes a writer. The connection of the session itself owns what nobody owns. */
  join(attachment: Attachment, wanted: AttachRole | 'owner if free'): AttachRole {
    const owner = this.#owner();
    const role = wanted === 'owner if free' ? (owner === undefined ? 'owner' : 'writer') : wanted;
    const known = this.#members.get(attachment);
    if (known === undefined && this.#members.size > limits.attachments) {
      throw new RpcError(
        'overloaded',
        `The process has ${limits.attachments} attachments; one has to be detached first.`,
      );
    }
    if (known === undefined)
      this.#members.set(attachment, { role, size: attachment.isHome ? this.#process.size : null });
    else known.role = role;
    const handedOver = role === 'owner' && owner !== undefined && owner[0] !== attachment;
    if (handedOver) owner[1].role = 'writer';
    this.#applySize();
    this.#tell(handedOver ? 'handedOver' : 'attached');
    return role;
  }

  leave(attachment: Attachment): void {
    const member = this.#members.get(attachment);
    if (member === undefined) return;
    this.#members.delete(attachment);
    const home = [...this.#members].find(([one]) => one.isHome);
    const inherits = member.role === 'owner' && home !== undefined;
    if (inherits) home[1].role = 'owner';
    this.#applySize();
    this.#tell(inherits ? 'handedOver' : 'detached');
    if (![...this.#members.keys()].some((one) => !one.isHome)) this.#onAlone();
  }

  resize(attachment: Attachment, size: TerminalSize): void {
    const member = this.#members.get(attachment);
    if (member === undefined) return;
    const { resizePolicy, tty } = this.#process;
    if (!tty) return this.#process.resize(size.rows, size.cols);
    if (member.role === 'viewer' && resizePolicy !== 'smallest') {
      throw invalidRequest(`A viewer does not resize a process whose resizePolicy is ${resizePolicy}.`);
    }
    member.size = size;
    if (resizePolicy === 'latest') this.#process.resize(size.rows, size.cols);
    else this.#applySize();
    this.#tell('resized');
  }

  #owner(): [Attachment, Member] | undefined {
    return [...this.#members].find(([, member]) => member.role === 'owner');
  }

  /** By the policies that look at who is there. */
  #applySize(): void {
    const { resizePolicy, size: now } = this.#process;
    if (!this.#process.tty || resizePolicy === 'latest') return;
    const sizes =
      resizePolicy === 'owner'
        ? [this.#owner()?.[1].size]
        : [...this.#members.values()].map(({ size }) => size);
    const asked = sizes.filter((size) => size != null);
    if (asked.length === 0) return;
    const rows = Math.min(...asked.map((size) => size.rows));
    const cols = Math.min(...asked.map((size) => size.cols));
    if (rows !== now?.rows || cols !== now.cols) this.#process.resize(rows, cols);
  }

  #tell(cause: Change['cause']): void {
    const attachments = [...this.#members].map(([{ id }, { role }]) => ({ attachmentId: id, role }));
    for (const attachment of this.#members.keys()) {
      attachment.tell({ cause, attachmentId: attachment.id, attachments, size: this.#process.size });
    }
  }
}
