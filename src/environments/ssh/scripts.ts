/** What the shell of the other machine is told. Values come as arguments, so that none of them is ever read as a part of a script. */

/** A line of ours among what a profile may print: the mark, and what there is to say. */
const say = `say() { printf '\\n%s %s\\n' "$mark" "$*"; }`;

/** $1 mark, $2 digest, $3 folder or nothing, then options of `serve`. Statuses as of a shell: 127 where there is no executor. */
const place = `
mark=$1 digest=$2 folder=$3
${say}
[ -n "$folder" ] || folder=\${XDG_CACHE_HOME:-$HOME/.cache}/exec-server
place=$folder/$digest
`;

/** Starts what \`install\` has put there. Nobody but the user may own it. */
export const startInstalled = `${place}
if [ ! -d "$place" ]; then say missing "$(uname -s) $(uname -m)"; exit 127; fi
if [ ! -O "$place" ] || [ -L "$place" ]; then say foreign "$place"; exit 126; fi
shift 3
say ready
exec "$place/bin/node" "$place/lib/main.js" serve --listen stdio "$@"
`;

/** Takes the archive from standard input. It gets its name in one step, when it is whole and runs. */
export const install = `${place}
umask 022
mkdir -p -- "$folder" || { say failed folder "$folder"; exit 1; }
new=$(mktemp -d "$folder/.new-XXXXXXXX") || { say failed folder "$folder"; exit 1; }
trap 'rm -rf -- "$new"' EXIT
trap 'exit 1' HUP INT TERM
cat > "$new/archive" || { say failed space; exit 1; }
if ! printf '%s  %s\\n' "$digest" "$new/archive" | sha256sum -c - > /dev/null 2>&1; then say failed digest; exit 1; fi
mkdir "$new/tree" && tar -xzf "$new/archive" -C "$new/tree" -o || { say failed unpack; exit 1; }
"$new/tree/bin/node" --version > /dev/null || { say failed run; exit 1; }
mv -T -- "$new/tree" "$place" 2> /dev/null || [ -x "$place/bin/node" ] || { say failed place "$place"; exit 1; }
say installed
`;

/** $1 mark, $2 program, then options of \`serve\`. */
export const startProgram = `
mark=$1 program=$2
${say}
shift 2
if ! command -v "$program" > /dev/null 2>&1; then say missing "$(uname -s) $(uname -m)"; exit 127; fi
say ready
exec "$program" serve --listen stdio "$@"
`;

/** One text for whatever shell the user has there: it starts a POSIX shell, which takes it from here. Shells of the csh family quote no line break. */
export function remoteCommand(script: string, args: readonly string[]): string {
  const line = script.trim().replaceAll(/\n+/g, '; ');
  return ['exec', '/bin/sh', '-c', line, 'exec-server', ...args].map(quote).join(' ');
}

/** Single quotes mean the same in all shells. */
function quote(text: string): string {
  if (/^[\w./:=@%+-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}
