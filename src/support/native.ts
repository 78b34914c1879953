import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

/** What native/ offers. Numbers below zero are -errno. */
interface Native {
  /** The strings of `candidates`, `argv`, `env` and `cwd` each end with NUL. rows 0: pipes instead of a PTY. */
  spawn(spec: NativeSpec): Promise<NativeChild | NativeFailure>;
  pollOpen(fd: number, onReady: (events: number) => void): object;
  pollSet(poll: object, mask: number): void;
  pollClose(poll: object): void;
  read(fd: number, target: Uint8Array, offset: number, count: number): number;
  write(fd: number, source: Uint8Array, offset: number, count: number): number;
  resize(fd: number, rows: number, cols: number): number;
  eofByte(fd: number): number;
  /** null while it runs; else exit code or -1, signal or 0, user and system CPU time in microseconds. */
  exitStatus(pid: number): null | number | readonly [number, number, number, number];
  reap(pid: number): number;
  /** A descriptor that does not block, or -ENOSYS where there is no inotify. */
  inotifyOpen(): number;
  /** `path` ends with NUL. Answers the watch descriptor; the same one for the same inode. */
  inotifyAdd(fd: number, path: Buffer, mask: number): number;
  inotifyRemove(fd: number, wd: number): number;
  /** Starts the program that ends what this process has spawned when this process is killed. `path` ends with NUL. */
  guardOpen(path: Buffer): number;
  /** Bytes that the other side of a TCP connection has acknowledged, and bytes that it has not. */
  tcpProgress(fd: number): number | readonly [number, number];
  /** 1 when fewer than that are free. */
  descriptorsScarce(reserved: number): number;
  /** A file without a name that nobody can change any more, read from its beginning. */
  sealedFile(bytes: Uint8Array): number;
  /** A file without a name. */
  memoryFile(): number;
  /** The ends of a socket that keeps messages apart. The first is ours: it does not block and learns the pid of a sender. */
  statusPair(): readonly [number, number] | number;
  /** One message and the pid of its sender; [0, 0] at the end. -EMSGSIZE when it did not fit. */
  receiveStatus(fd: number, target: Uint8Array): number | readonly [number, number];
  /** A descriptor that stands for the path, which must cross no symbolic link; a link at its end is opened itself. `path` ends with NUL. */
  openPath(path: Buffer): number;
  hostFacts(): HostFacts;
  /** An advisory lock, without waiting; -EWOULDBLOCK where somebody else has it. Ends with the open file. */
  lock(fd: number, exclusive: boolean): number;
}

/** What the kernel offers to confine with. */
export interface HostFacts {
  /** 0: no Landlock. */
  readonly landlockAbi: number;
  readonly seccomp: boolean;
  readonly seccompNotify: boolean;
}

export interface NativeSpec {
  readonly candidates: Buffer;
  readonly argv: Buffer;
  readonly env: Buffer;
  readonly cwd: Buffer;
  readonly pipeStdin: number;
  readonly rows: number;
  readonly cols: number;
  /** Become 3, 4, 5… of the child. The caller keeps them open until the start has settled. */
  readonly pass?: readonly number[];
  /**
   * The child's streams become 5, 6 and 7, and the passed descriptors from the third on 8, 9…; it writes its own errors to this
   * descriptor, and leaves the PTY to a descendant.
   */
  readonly asideError?: number;
  /** 0: the child does not take the PTY as its controlling terminal; a descendant of it will. */
  readonly leadTerminal?: 0 | 1;
}

/** Descriptors, -1 where there is none. A PTY has one, `stdin`, for both directions. */
export interface NativeChild {
  readonly pid: number;
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
}

export interface NativeFailure {
  readonly errno: number;
  readonly stage: 'setup' | 'cwd' | 'exec';
}

/** The program that `guardOpen` starts. */
export const reaperPath = fileURLToPath(new URL('../../build/Release/exec-server-reaper', import.meta.url));
/** Where it is, for those who have to make it readable. */
export const addonFile = new URL('../../build/Release/exec_server_native.node', import.meta.url);

let loaded: Native | undefined;

/** Loaded at the first use, so that a client without processes and watches needs no native code. */
export function native(): Native {
  if (loaded !== undefined) return loaded;
  if (!isMainThread) throw new Error('Processes and watches work only in the main thread of Node.');
  try {
    loaded = createRequire(import.meta.url)(fileURLToPath(addonFile)) as Native;
    return loaded;
  } catch (cause) {
    throw new Error(
      'The native part of exec-server is missing; `npm rebuild exec-server` (in a clone: `npm ci`) builds it.',
      { cause },
    );
  }
}
