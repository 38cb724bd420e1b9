// The gateway's page: the live stream, newest first, and a form to broadcast.
//
// All addresses are relative, so the page works under a path prefix. Nothing is done per event but
// a push to an array; the document is touched once per animation frame, at most `kRowsFrameMax`
// rows, and what passed too fast to be shown is counted.
import {copyText, makeLines} from './copy_lines.js';
import {makeRow, showData} from './event_row.js';

const kRowsMax = 200; // rows in the list, and events kept of each type
const kRowsFrameMax = 40; // rows made in one frame
const kTypesMax = 32; // types listened for
const kKeptCharactersMax = 4e6; // data kept of each type
const kAnnounceMs = 10000; // between two counts read out to a screen reader
const kStatsMs = 2000;
const kOwnTypes = ['sluice.open', 'sluice.error'];

const $ = (id) => document.getElementById(id);
const address = (path) => new URL(path, document.baseURI).href;
const number = new Intl.NumberFormat('en');

// sessionStorage may be forbidden altogether; the page then forgets.
const memory = {
  get(name) {
    try {
      return sessionStorage.getItem(name) || '';
    } catch {
      return '';
    }
  },
  set(name, value) {
    try {
      sessionStorage.setItem(name, value);
    } catch {
      /* forgets */
    }
  },
};

// ---- The list ----------------------------------------------------------------------------

const types = new Map(); // type -> {count, isShown, kept, keptCharacters, chip, counter}
let pending = []; // not yet drawn, oldest first, at most kRowsMax
let order = 0; // of arrival in this page
let eventCount = 0; // what publishers sent; the gateway's own events are not counted
let skippedCount = 0;
let waitingCount = 0; // arrived during a pause
let isPaused = false;
let isFrameAsked = false;
let isEmptyHidden = false;
let lastId = '';

function onEvent(message) {
  const type = types.get(message.type);
  if (!type || typeof message.data !== 'string') return; // `error` of the connection has no data
  const event = {
    order: order++,
    type: message.type,
    id: message.lastEventId,
    data: message.data,
    time: new Date(),
  };
  type.count++;
  if (!event.type.startsWith('sluice.')) eventCount++;
  if (event.id) lastId = event.id;
  type.kept.push(event);
  type.keptCharacters += event.data.length;
  while (
    type.kept.length > kRowsMax ||
    (type.keptCharacters > kKeptCharactersMax && type.kept.length > 1)
  ) {
    type.keptCharacters -= type.kept.shift().data.length;
  }
  if (isPaused) {
    waitingCount++;
  } else if (type.isShown) {
    pending.push(event);
    if (pending.length > kRowsMax) {
      pending.shift();
      skippedCount++;
    } // a hidden tab draws nothing
  }
  askFrame();
}

function askFrame() {
  if (isFrameAsked) return;
  isFrameAsked = true;
  requestAnimationFrame(draw);
}

function draw() {
  isFrameAsked = false;
  const list = $('list');
  if (!isPaused && pending.length > 0) {
    if (pending.length > kRowsFrameMax) skippedCount += pending.length - kRowsFrameMax;
    const rows = pending.slice(-kRowsFrameMax).reverse().map(makeRow);
    pending = [];
    const isAtTop = list.scrollTop < 4;
    const height = list.scrollHeight;
    list.prepend(...rows);
    while (list.childElementCount > kRowsMax) list.lastElementChild.remove();
    // Whoever scrolled down to read keeps the place.
    if (!isAtTop) list.scrollTop += Math.max(0, list.scrollHeight - height);
  }
  $('count-events').textContent = number.format(eventCount);
  $('last-id').textContent = lastId || '–';
  $('last-id').title = lastId;
  for (const type of types.values()) {
    if (type.drawnCount !== type.count) {
      type.counter.textContent = number.format(type.count);
      type.drawnCount = type.count;
    }
  }
  if (!isEmptyHidden && eventCount > 0) {
    isEmptyHidden = true;
    $('empty').hidden = true;
  }
  drawFoot();
}

function drawFoot() {
  const parts = [];
  if (isPaused) parts.push(`Paused: ${number.format(waitingCount)} new since then.`);
  const rowCount = $('list').childElementCount;
  if (rowCount === kRowsMax) parts.push(`The newest ${kRowsMax} are shown.`);
  if (skippedCount > 0) parts.push(`${number.format(skippedCount)} passed too fast to be shown.`);
  const text = parts.join(' ');
  if ($('foot').textContent !== text) $('foot').textContent = text;
}

// Draws the list anew from what is kept, after a pause or a change of what is shown.
function redraw() {
  pending = [];
  const kept = [];
  for (const type of types.values()) if (type.isShown) kept.push(...type.kept);
  kept.sort((a, b) => b.order - a.order);
  const rows = kept.slice(0, kRowsMax).map(makeRow);
  rows.forEach((row) => row.classList.remove('new'));
  $('list').replaceChildren(...rows);
  askFrame();
}

$('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  $('pause').setAttribute('aria-pressed', String(isPaused));
  $('pause').textContent = isPaused ? 'Go on' : 'Pause';
  if (isPaused) {
    waitingCount = 0;
  } else {
    skippedCount += Math.max(0, waitingCount - kRowsMax);
    redraw();
  }
  drawFoot();
});

$('clear').addEventListener('click', () => {
  for (const type of types.values()) {
    type.kept = [];
    type.keptCharacters = 0;
    type.count = 0;
  }
  pending = [];
  eventCount = skippedCount = waitingCount = 0;
  $('list').replaceChildren();
  isEmptyHidden = false;
  $('empty').hidden = false;
  askFrame();
});

// ---- Types -------------------------------------------------------------------------------

function saveTypes() {
  const own = [...types.keys()].filter((name) => name !== 'message' && !kOwnTypes.includes(name));
  memory.set('sluice.types', JSON.stringify(own));
}

// Why a type cannot be listened for, or ''.
function typeFault(name) {
  if (name === 'error' || name === 'open') {
    return `“${name}” is an event of EventSource itself; the gateway takes none of that type.`;
  }
  if (/[\r\n\0]/.test(name)) return 'A type is one line.';
  if (!types.has(name) && types.size >= kTypesMax)
    return `The page listens for at most ${kTypesMax} types.`;
  return '';
}

function listenFor(name) {
  if (!name || types.has(name) || typeFault(name)) return;
  const chip = document.createElement('span');
  chip.className = 'chip';
  const toggle = document.createElement('button');
  toggle.type = 'button';
  toggle.setAttribute('aria-pressed', 'true');
  toggle.title = 'Show or hide in the list';
  const counter = document.createElement('span');
  counter.className = 'n';
  counter.textContent = '0';
  toggle.append(name, counter);
  chip.append(toggle);
  const type = {count: 0, drawnCount: 0, isShown: true, kept: [], keptCharacters: 0, chip, counter};
  toggle.addEventListener('click', () => {
    type.isShown = !type.isShown;
    toggle.setAttribute('aria-pressed', String(type.isShown));
    redraw();
  });
  if (name !== 'message' && !kOwnTypes.includes(name)) {
    const remove = document.createElement('button');
    remove.type = 'button';
    remove.className = 'remove';
    remove.textContent = '×';
    remove.setAttribute('aria-label', `Stop listening for ${name}`);
    remove.addEventListener('click', () => {
      types.delete(name);
      if (source) source.removeEventListener(name, onEvent);
      chip.remove();
      saveTypes();
      redraw();
      $('new-type').focus();
    });
    chip.append(remove);
  }
  types.set(name, type);
  if (source) source.addEventListener(name, onEvent);
  $('chips').append(chip);
  saveTypes();
}

$('add-type').addEventListener('submit', (submit) => {
  submit.preventDefault();
  const field = $('new-type');
  const fault = typeFault(field.value);
  field.setCustomValidity(fault);
  if (fault) {
    field.reportValidity();
    return;
  }
  listenFor(field.value);
  field.value = '';
});
$('new-type').addEventListener('input', () => $('new-type').setCustomValidity(''));

// ---- The connection ----------------------------------------------------------------------

let source = null;
let wasOpen = false;
let slowTimer = 0;

function showState(state, text) {
  $('state').dataset.state = state;
  if ($('state-text').textContent !== text) {
    $('state-text').textContent = text;
    $('announce').textContent = text;
  }
  $('reconnect').hidden = state !== 'closed';
}

function showNotice(text) {
  $('notice').textContent = text;
  $('notice').hidden = !text;
}

function connect() {
  if (source) source.close();
  showState(wasOpen ? 'reconnecting' : 'connecting', wasOpen ? 'Reconnecting' : 'Connecting');
  source = new EventSource(address('stream'));
  for (const name of types.keys()) source.addEventListener(name, onEvent);
  source.addEventListener('sluice.error', (event) => {
    let reason = event.data;
    try {
      reason = JSON.parse(event.data).message || reason;
    } catch {
      /* shown as it is */
    }
    showNotice(`The gateway turned this stream away: ${reason} The browser tries again by itself.`);
  });
  // Not `open`: that comes with any 200, also with the short stream that turns one away.
  source.addEventListener('sluice.open', () => {
    wasOpen = true;
    showNotice('');
    clearTimeout(slowTimer);
    showState('open', 'Connected');
    askStats();
  });
  source.addEventListener('error', () => {
    const isClosed = source.readyState === EventSource.CLOSED;
    showState(isClosed ? 'closed' : 'reconnecting', isClosed ? 'Closed' : 'Reconnecting');
    if (isClosed) {
      showNotice(
        'The stream was refused for good: its address did not answer 200 with an event ' +
          'stream. The browser does not try again by itself.',
      );
    }
  });
  clearTimeout(slowTimer);
  slowTimer = setTimeout(() => {
    if (source.readyState === EventSource.CONNECTING) {
      showNotice(
        'No answer yet. A browser keeps at most six HTTP/1.1 connections to one host: ' +
          'are other tabs open on this gateway?',
      );
    }
  }, 5000);
}

$('reconnect').addEventListener('click', () => {
  showNotice('');
  connect();
});

// ---- Rate, and what is read out ------------------------------------------------------------

const rates = new Array(60).fill(0);
let rateCount = 0;
let rateTime = performance.now();
let announcedCount = 0;
let announcedTime = 0;

function tick() {
  const now = performance.now();
  const rate = (Math.max(0, eventCount - rateCount) * 1000) / (now - rateTime);
  rateCount = eventCount;
  rateTime = now;
  rates.push(rate);
  rates.shift();
  $('count-rate').textContent = number.format(Math.round(rate));
  $('list').classList.toggle('busy', rate > 10);
  const top = Math.max(4, ...rates);
  const points = rates
    .map((value, i) => `${((i * 120) / 59).toFixed(1)},${(31 - (value / top) * 27).toFixed(1)}`)
    .join(' ');
  const isFlat = rates.every((value) => value === 0);
  $('spark-line').setAttribute('points', isFlat ? '' : points);
  $('spark-area').setAttribute(
    'd',
    isFlat ? '' : `M0,32 L${points.replaceAll(' ', ' L')} L120,32 Z`,
  );
  if (eventCount < announcedCount) announcedCount = eventCount;
  if (eventCount !== announcedCount && now - announcedTime > kAnnounceMs) {
    const arrived = eventCount - announcedCount;
    $('announce').textContent = `${number.format(arrived)} new event${arrived === 1 ? '' : 's'}.`;
    announcedCount = eventCount;
    announcedTime = now;
  }
}

// ---- Stats, if this page may ask for them ---------------------------------------------------

let areStatsAllowed = true;
let isAskingStats = false;

const keyHeaders = () => ($('key').value ? {Authorization: 'Bearer ' + $('key').value} : {});

function showSubscribers(count) {
  if (typeof count === 'number') $('count-subscribers').textContent = number.format(count);
}

async function askStats() {
  if (!areStatsAllowed || isAskingStats || document.hidden) return;
  isAskingStats = true;
  try {
    const reply = await fetch(address('stats'), {headers: keyHeaders(), cache: 'no-store'});
    if (reply.ok) {
      const stats = await reply.json();
      showSubscribers(stats.subscribers);
      const about = [typeof stats.version === 'string' ? stats.version : 'sluice'];
      if (typeof stats.engine === 'string') about.push(stats.engine);
      if (Array.isArray(stats.shards)) {
        about.push(stats.shards.length + (stats.shards.length === 1 ? ' shard' : ' shards'));
      }
      $('about').textContent = about.join(' · ');
    } else if (reply.status < 500) {
      areStatsAllowed = false; // asked again when the key changes
    }
  } catch {
    /* the state of the stream says that the gateway is away */
  }
  isAskingStats = false;
}

// ---- Broadcast ---------------------------------------------------------------------------

const kind = () => document.querySelector('input[name="kind"]:checked').value;
const broadcastPath = () => {
  const type = $('event-type').value;
  return 'broadcast' + (type ? '?event=' + encodeURIComponent(type) : '');
};

function checkBody() {
  let fault = '';
  if (kind() === 'json') {
    try {
      JSON.parse($('body').value);
    } catch {
      fault = 'No valid JSON: the gateway will refuse it.';
    }
  }
  $('body-hint').textContent = fault;
  $('body-hint').classList.toggle('bad', Boolean(fault));
}

async function broadcast() {
  $('event-type').setCustomValidity(typeFault($('event-type').value));
  if (!$('event-type').reportValidity()) return;
  listenFor($('event-type').value); // so that it is seen to arrive
  $('send').disabled = true;
  const headers = keyHeaders();
  headers['Content-Type'] = kind() === 'json' ? 'application/json' : 'text/plain; charset=utf-8';
  let line = '';
  let text = '';
  let isGood = false;
  try {
    const reply = await fetch(address(broadcastPath()), {
      method: 'POST',
      headers,
      body: $('body').value,
    });
    text = await reply.text();
    let envelope = null;
    try {
      envelope = JSON.parse(text);
    } catch {
      /* a proxy's page, shown as it is */
    }
    isGood = reply.ok && Boolean(envelope) && envelope.success === true;
    if (isGood) {
      const count = envelope.data.subscribers;
      showSubscribers(count);
      line = `Accepted for ${number.format(count)} subscriber${count === 1 ? '' : 's'}`;
    } else {
      line = `${reply.status} ${(envelope && envelope.message) || reply.statusText}`;
      if (reply.status === 401) {
        line += ': give the publishing key above';
        $('key').focus();
      }
    }
  } catch (error) {
    line = 'No answer from the gateway';
    text = String(error.message || error);
  }
  $('reply').hidden = false;
  $('reply').classList.toggle('bad', !isGood);
  $('reply-line').textContent = line;
  showData($('reply-body'), text, 40);
  $('send').disabled = false;
}

$('broadcast').addEventListener('submit', (submit) => {
  submit.preventDefault();
  broadcast();
});
$('body').addEventListener('keydown', (key) => {
  if (key.key === 'Enter' && (key.ctrlKey || key.metaKey)) {
    key.preventDefault();
    broadcast();
  }
});
$('broadcast').addEventListener('input', (input) => {
  if (input.target === $('key')) {
    memory.set('sluice.key', $('key').value);
    areStatsAllowed = true;
  }
  $('event-type').setCustomValidity('');
  checkBody();
  showLines();
});

// ---- Lines to copy -------------------------------------------------------------------------

function showLines() {
  const lines = makeLines(address, {
    type: $('event-type').value,
    isJson: kind() === 'json',
    body: $('body').value,
    hasKey: $('key').value !== '',
    path: broadcastPath(),
  });
  for (const [name, line] of Object.entries(lines)) $('line-' + name).textContent = line;
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', async () => {
    const isCopied = await copyText($(button.dataset.copy));
    button.textContent = isCopied ? 'Copied' : 'Selected';
    $('announce').textContent = isCopied ? 'Copied.' : 'Selected; press Ctrl C to copy.';
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  });
}

// ---- Start ---------------------------------------------------------------------------------

$('key').value = memory.get('sluice.key');
$('body').value = '{"hello": "world"}';
let remembered = [];
try {
  remembered = JSON.parse(memory.get('sluice.types') || '[]');
} catch {
  /* none */
}
['message', ...kOwnTypes].forEach(listenFor);
if (Array.isArray(remembered))
  remembered.filter((name) => typeof name === 'string').forEach(listenFor);
showLines();
connect();
setInterval(tick, 1000);
setInterval(askStats, kStatsMs);
