/** A key of a TOML document, from the top: names of tables, and indexes in arrays. */
export type KeyPath = readonly (string | number)[];

/** Where each key of a document is that a TOML parser has accepted: the parser tells lines only of what it does not accept. */
export class KeyLines {
  readonly #text: string;
  readonly #lines = new Map<string, number>();
  /** How many tables each array of tables has so far. */
  readonly #tables = new Map<string, number>();
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
    let table: KeyPath = [];
    for (;;) {
      this.#skipBlanks();
      if (this.#at >= text.length) return;
      if (this.#char === '[') table = this.#header();
      else this.#keyAndValue(table);
    }
  }

  /** The line of a key, from 1; of what it is in, where it is not there itself. */
  lineOf(path: KeyPath): number {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(JSON.stringify(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  }

  get #char(): string {
    return this.#text[this.#at] ?? '';
  }

  get #restOfLine(): number {
    const end = this.#text.indexOf('\n', this.#at);
    return (end < 0 ? this.#text.length : end) - this.#at;
  }

  #note(path: KeyPath): void {
    const name = JSON.stringify(path);
    if (!this.#lines.has(name)) this.#lines.set(name, this.#line);
  }

  /** `[table]`, or `[[array of tables]]` */
  #header(): KeyPath {
    const isArray = this.#text.startsWith('[[', this.#at);
    this.#move(isArray ? 2 : 1);
    const keys = this.#keys();
    this.#move(isArray ? 2 : 1);
    const path: (string | number)[] = [];
    for (const [depth, key] of keys.entries()) {
      path.push(key);
      const isLast = depth === keys.length - 1;
      const name = JSON.stringify(path);
      if (isArray && isLast) this.#tables.set(name, (this.#tables.get(name) ?? 0) + 1);
      this.#note(path);
      const count = this.#tables.get(name);
      // A name of an array of tables stands for its last one.
      if (count !== undefined) path.push(count - 1);
      this.#note(path);
    }
    return path;
  }

  #keyAndValue(table: KeyPath): void {
    const path = [...table];
    for (const key of this.#keys()) {
      path.push(key);
      this.#note(path);
    }
    // The equals sign.
    this.#move(1);
    this.#value(path);
  }

  /** `a."b.c".d` */
  #keys(): string[] {
    const keys: string[] = [];
    for (;;) {
      this.#skipBlanks();
      const quote = this.#char;
      if (quote === '"' || quote === "'") {
        const begin = this.#at;
        this.#string();
        const text = this.#text.slice(begin, this.#at);
        keys.push(quote === '"' ? unescaped(text) : text.slice(1, -1));
      } else {
        const [bare = ''] = /^[^\s.=\]]*/.exec(this.#text.slice(this.#at, this.#at + 1024)) ?? [];
        keys.push(bare);
        this.#move(Math.max(1, bare.length));
      }
      this.#skipBlanks();
      if (this.#char !== '.') return keys;
      this.#move(1);
    }
  }

  #value(path: KeyPath): void {
    this.#skipBlanks();
    const char = this.#char;
    if (char === '"' || char === "'") return this.#string();
    if (char === '[') return this.#list(']', (index) => this.#element([...path, index]));
    if (char === '{') return this.#list('}', () => this.#keyAndValue(path));
    const [bare = ''] = /^[^,\]}#\n]*/.exec(this.#text.slice(this.#at)) ?? [];
    this.#move(bare.length);
  }

  #element(path: KeyPath): void {
    this.#note(path);
    this.#value(path);
  }

  #list(end: string, item: (index: number) => void): void {
    this.#move(1);
    for (let index = 0; this.#at < this.#text.length; index++) {
      this.#skipBlanks();
      if (this.#char === end) return this.#move(1);
      item(index);
      this.#skipBlanks();
      if (this.#char === ',') this.#move(1);
    }
  }

  #string(): void {
    const quote = this.#char;
    const end = this.#text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    this.#move(end.length);
    while (this.#at < this.#text.length && !this.#text.startsWith(end, this.#at)) {
      this.#move(quote === '"' && this.#char === '\\' ? 2 : 1);
    }
    this.#move(end.length);
    // A text of several lines may end with quotation marks of its own.
    if (end.length === 3) while (this.#char === quote) this.#move(1);
  }

  /** Blanks, line ends and comments. */
  #skipBlanks(): void {
    for (;;) {
      if (this.#char === '#') this.#move(this.#restOfLine);
      else if (/^\s$/.test(this.#char)) this.#move(1);
      else return;
    }
  }

  #move(characters: number): void {
    const end = Math.min(this.#text.length, this.#at + characters);
    for (; this.#at < end; this.#at++) if (this.#char === '\n') this.#line++;
  }
}

/** A quoted key. One that only TOML can read is not found by its name. */
function unescaped(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted.slice(1, -1);
  }
}
