// Lines to copy: curl for a shell, EventSource for a page. A key is never in them, only a variable.

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// `address` makes a path whole; `form` is {type, isJson, body, hasKey, path} as the form stands.
export function makeLines(address, form) {
  const key = form.hasKey ? ' -H "Authorization: Bearer $SLUICE_KEY"' : '';
  const body = form.isJson
    ? `-d ${quote(form.body)}`
    : `-H 'Content-Type: text/plain' --data-raw ${quote(form.body)}`;
  const listen = form.type
    ? `source.addEventListener(${JSON.stringify(form.type)}, (event) => console.log(event.data));`
    : 'source.onmessage = (event) => console.log(event.data);';
  return {
    watch: `curl -N ${quote(address('stream'))}`,
    publish: `curl${key} ${quote(address(form.path))} ${body}`,
    stats: `curl${key} ${quote(address('stats?pretty'))}`,
    page: `const source = new EventSource(${JSON.stringify(address('stream'))});\n${listen}`,
  };
}

// The clipboard's own interface exists on https and localhost only.
export async function copyText(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(pre);
    return document.execCommand('copy');
  }
}
