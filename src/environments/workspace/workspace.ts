import {
  type EnvironmentLookup,
  type WorkspaceChange,
  type WorkspaceSettings,
  changed,
} from './selection.ts';
import { Turn } from './turn.ts';

/** What a workspace can be made from again. */
export interface WorkspaceState extends WorkspaceSettings {
  readonly id: string;
}

/** A thread of work: what it works in, and what it may touch, stay from turn to turn. */
export class Workspace {
  readonly id: string;
  readonly #manager: EnvironmentLookup;
  readonly #onClose: () => void;
  #settings: WorkspaceSettings;

  constructor(id: string, settings: WorkspaceSettings, manager: EnvironmentLookup, onClose: () => void) {
    this.id = id;
    this.#settings = settings;
    this.#manager = manager;
    this.#onClose = onClose;
  }

  get settings(): WorkspaceSettings {
    return this.#settings;
  }

  /** For keeping: `resume` takes it. */
  get state(): WorkspaceState {
    return { id: this.id, ...this.#settings };
  }

  /** Changes the settings of later turns. Throws a WorkspaceError, and changes nothing, where anything is wrong. */
  update(change: WorkspaceChange): WorkspaceSettings {
    this.#settings = changed(this.#settings, change, this.#manager);
    return this.#settings;
  }

  /** Begins a turn. What it changes stays for later ones; turns that run keep what they began with. */
  turn(change: WorkspaceChange = {}): Turn {
    return new Turn(this.update(change), this.#manager);
  }

  /** It is no longer live. Nothing that it has started ends by that. */
  close(): void {
    this.#onClose();
  }
}
