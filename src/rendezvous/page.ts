import type { EnvironmentView } from './environment-view.ts';

const columns = [
  'Environment',
  'Name',
  'Version',
  'Transport',
  'Since',
  'Last seen',
  'Streams',
  'State',
] as const;

/** What a browser may do with the page: load what this server gives, and nothing else. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function loginPage(problem: string | undefined): string {
  const said = problem === undefined ? '' : `<p role="alert">${escape(problem)}</p>`;
  return document(
    'Log in',
    `<h1>Environments</h1>${said}
<form method="post" action="login">
  <label>Token <input type="password" name="token" autocomplete="off" required autofocus></label>
  <button>Log in</button>
</form>`,
  );
}

/** Without scripts it is loaded again every few seconds. */
export function listPage(environments: readonly EnvironmentView[], who: string, mayLogOut: boolean): string {
  const head = columns.map((name) => `<th scope="col">${name}</th>`).join('');
  const logout = mayLogOut ? '<form method="post" action="logout"><button>Log out</button></form>' : '';
  return document(
    'Environments',
    `<header><h1>Environments</h1><p>${escape(who)}</p>${logout}</header>
<p id="summary">${escape(summary(environments))}</p>
<table><thead><tr>${head}</tr></thead><tbody id="rows">
${environments.map((environment) => row(environment)).join('\n')}
</tbody></table>
<p id="live" hidden></p>
<script src="page.js" defer></script>`,
    '<noscript><meta http-equiv="refresh" content="5"></noscript>',
  );
}

function summary(environments: readonly EnvironmentView[]): string {
  const online = environments.filter((environment) => environment.online).length;
  return `${environments.length} registered, ${online} online`;
}

function row(environment: EnvironmentView): string {
  const cells = cellsOf(environment).map((text) => `<td>${escape(text)}</td>`);
  return `<tr class="${environment.online ? 'online' : 'offline'}">${cells.join('')}</tr>`;
}

function cellsOf({
  id,
  name,
  version,
  transport,
  since,
  last_seen,
  streams,
  online,
}: EnvironmentView): string[] {
  const seen = online ? 'now' : last_seen;
  return [id, name, version, transport, since, seen, String(streams), online ? 'online' : 'offline'];
}

function document(title: string, body: string, head = ''): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<link rel="stylesheet" href="page.css">${head}</head>
<body>${body}</body>
</html>
`;
}

function escape(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}

export const style = `:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
header { display: flex; align-items: baseline; gap: 1rem; }
header h1 { flex: 1; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.35rem 0.6rem; border-bottom: 1px solid color-mix(in srgb, currentcolor 20%, transparent); overflow-wrap: anywhere; }
tr.offline { opacity: 0.6; }
tr.online td:last-child { color: light-dark(#106b21, #7ddc8c); }
[role='alert'] { color: light-dark(#a11, #f99); }
`;

/** Fills the table with what the server tells; texts only, so that no name becomes markup. */
export const script = `'use strict';
const rows = document.getElementById('rows');
const summary = document.getElementById('summary');
const live = document.getElementById('live');
const source = new EventSource('events');
source.onmessage = (event) => {
  const environments = JSON.parse(event.data);
  rows.replaceChildren(...environments.map((environment) => {
    const row = document.createElement('tr');
    row.className = environment.online ? 'online' : 'offline';
    const { id, name, version, transport, since, last_seen, streams, online } = environment;
    const seen = online ? 'now' : last_seen;
    for (const text of [id, name, version, transport, since, seen, streams, online ? 'online' : 'offline']) {
      row.insertCell().textContent = text;
    }
    return row;
  }));
  const online = environments.filter((environment) => environment.online).length;
  summary.textContent = environments.length + ' registered, ' + online + ' online';
  live.hidden = true;
};
source.onerror = () => {
  live.textContent = 'The rendezvous does not answer; what is shown may be old.';
  live.hidden = false;
};
`;
