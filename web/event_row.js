// An event as a row of the list: time, type, data (JSON indented), id.

const kTextMax = 2000; // characters of data shown before "Show all"
const number = new Intl.NumberFormat('en');

// Indents JSON without touching its values: JSON.parse would lose big numbers and double keys.
// Gives [class, text] pieces, or null if the text is no JSON.
function jsonPieces(text, lineMax = 88) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  const isShort = text.length <= lineMax;
  const pieces = [];
  let depth = 0;
  const line = () => pieces.push(['', isShort ? ' ' : '\n' + '  '.repeat(Math.min(depth, 40))]);
  tokens.forEach((token, i) => {
    const next = tokens[i + 1];
    const previous = tokens[i - 1];
    if (token === '{' || token === '[') {
      pieces.push(['', token]);
      depth++;
      if (next !== '}' && next !== ']') line();
    } else if (token === '}' || token === ']') {
      depth--;
      if (previous !== '{' && previous !== '[') line();
      pieces.push(['', token]);
    } else if (token === ',') {
      pieces.push(['', token]);
      line();
    } else if (token === ':') {
      pieces.push(['', ': ']);
    } else if (token[0] === '"') {
      pieces.push([next === ':' ? 'k' : 's', token]);
    } else {
      pieces.push(['v', token]);
    }
  });
  return pieces;
}

export function showData(pre, text, lineMax) {
  const pieces = text.length <= kTextMax ? jsonPieces(text, lineMax) : null;
  if (!pieces) {
    pre.textContent = text;
    return;
  }
  const fragment = document.createDocumentFragment();
  for (const [kind, piece] of pieces) {
    if (!kind) {
      fragment.append(piece);
      continue;
    }
    const span = document.createElement('span');
    span.className = kind;
    span.textContent = piece;
    fragment.append(span);
  }
  pre.replaceChildren(fragment);
}

const two = (n) => String(n).padStart(2, '0');
const clock = (date) =>
  `${two(date.getHours())}:${two(date.getMinutes())}:` +
  `${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;

export function makeRow(event) {
  const row = document.createElement('li');
  row.className = event.type.startsWith('sluice.') ? 'own new' : 'new';
  const time = document.createElement('time');
  time.textContent = clock(event.time);
  time.dateTime = event.time.toISOString();
  const type = document.createElement('span');
  type.className = 'type';
  type.textContent = event.type;
  const data = document.createElement('pre');
  const isLong = event.data.length > kTextMax;
  showData(data, isLong ? event.data.slice(0, kTextMax) + '…' : event.data);
  const id = document.createElement('span');
  id.className = 'id';
  id.textContent = event.id;
  row.append(time, type, data, id);
  if (isLong) {
    const more = document.createElement('button');
    more.type = 'button';
    more.className = 'small more';
    more.textContent = `Show all ${number.format(event.data.length)} characters`;
    more.addEventListener('click', () => {
      const pieces = jsonPieces(event.data);
      data.textContent = pieces ? pieces.map((piece) => piece[1]).join('') : event.data;
      more.remove();
    });
    row.append(more);
  }
  return row;
}
