// Goal: /sluice.js as pages use it, in Chromium. Against the gateway where it can; against a
// scripted stream for faults at a moment of the test's choosing. The rule of all tests with tabs:
// each tab sees each event once, in order, whatever happens to the others.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {suite} from './registry.js';
import {until} from './scene.js';
import {checkPage, launch, openPage, openTab} from './browser.js';
import {ScriptedStream} from './scripted_stream.js';

const test = suite('sluice.js');
const kSoon = ['--stream-retry-min', '100ms', '--stream-retry-max', '300ms'];
const kOne = {engines: 'one'};

// `count` events of this type are there.
const sees = (page, type, count = 1) =>
  page.waitForFunction(
    ([type, count]) => seen.filter((event) => event.type === type).length >= count,
    [type, count],
    {polling: 20},
  );
const seenOf = async (page, type) =>
  (await page.evaluate('seen')).filter((event) => event.type === type);
const numbers = async (page, type = 'message') =>
  (await seenOf(page, type)).map((event) => Number(event.data));
const range = (first, last) => Array.from({length: last - first + 1}, (_, i) => first + i);

// The tab has seen first..last, each once and in order.
async function checkNumbers(page, first, last, what) {
  await page.waitForFunction((last) => seen.some((event) => event.data === String(last)), last, {
    polling: 20,
  });
  assert.deepEqual(await numbers(page), range(first, last), what);
}

async function openTabs(scene, script, count, ...page) {
  const tabs = [await openPage(scene)];
  while (tabs.length < count) tabs.push(await openTab(tabs[0].context()));
  for (const tab of tabs) {
    await tab.goto(script.page(...page));
    await sees(tab, 'open');
  }
  return tabs;
}

// ---- The gateway -----------------------------------------------------------------------------

async function openOnGateway(scene, gateway, types = []) {
  const script = await ScriptedStream.start(scene); // for its page: another origin
  const page = await openPage(scene);
  script.other = (url) =>
    url.pathname === '/gateways-own' &&
    `<!doctype html><script src="${gateway.url('/sluice.js')}"></script>`;
  await page.goto(script.origin + '/gateways-own');
  assert.equal(await page.evaluate('typeof Sluice'), 'function', 'of another origin');
  await page.goto(script.page(gateway.url('/stream'), {}, {types}));
  return page;
}

test('the gateway: events, types, ids in order; goes on after a restart', async (scene) => {
  let gateway = await scene.gateway(kSoon);
  const page = await openOnGateway(scene, gateway, ['score']);
  await sees(page, 'open');
  assert.equal(await page.evaluate('stream.readyState'), 1);
  const [{detail}] = await seenOf(page, 'open');
  assert.equal(detail.id, await page.evaluate('stream.lastEventId'));
  const sent = [];
  for (let n = 0; n < 20; n++) {
    const type = n % 5 === 0 ? 'score' : 'message';
    const {id} = await gateway.publish({n}, {event: type === 'score' ? type : undefined});
    sent.push({type, data: JSON.stringify({n}), id});
  }
  await sees(page, 'message', 16);
  const got = (await page.evaluate('seen')).slice(1);
  assert.deepEqual(
    got.map(({type, data, id}) => ({type, data, id})),
    sent,
  );
  await gateway.stop();
  await sees(page, 'error');
  gateway = await scene.gateway(kSoon, {port: gateway.port});
  await sees(page, 'open', 2);
  await gateway.publish({n: 20});
  await sees(page, 'message', 17);
  checkPage(page);
});

test('the gateway: a refusal is told, and ends', async (scene) => {
  const gateway = await scene.gateway(['--stream-subscribers-max', '1', ...kSoon]);
  const first = await scene.stream(gateway);
  const page = await openOnGateway(scene, gateway);
  await sees(page, 'refused', 2);
  const [{detail}] = await seenOf(page, 'refused');
  assert.equal(detail.error, 'subscribers_full');
  assert.ok(detail.message.length > 10);
  assert.deepEqual(await seenOf(page, 'open'), []);
  assert.equal(await page.evaluate('stream.readyState'), 0);
  first.close();
  await sees(page, 'open');
  checkPage(page);
});

test('the gateway: eight tabs are one subscriber', kOne, async (scene) => {
  const gateway = await scene.gateway();
  const first = await openOnGateway(scene, gateway);
  await sees(first, 'open');
  const tabs = [first];
  for (let i = 1; i < 8; i++) {
    const tab = await openTab(first.context());
    await tab.goto(first.url());
    await sees(tab, 'open');
    tabs.push(tab);
  }
  const {subscribers} = await gateway.publish(1);
  assert.equal(subscribers, 1);
  for (const tab of tabs) await checkNumbers(tab, 1, 1);
});

test('the gateway: the page of docs/browsers.md, opened from a file', kOne, async (scene) => {
  const gateway = await scene.gateway();
  const docs = join(dirname(fileURLToPath(import.meta.url)), '../../docs/browsers.md');
  const html = /```html\n(<!doctype html>[^]*?)```/.exec(readFileSync(docs, 'utf8'))[1];
  const file = scene.file('live.html', html.replaceAll('http://127.0.0.1:8181', gateway.origin));
  const page = await openPage(scene);
  await page.goto('file://' + file);
  await page.waitForSelector('#state:has-text("live")');
  await gateway.publish({hello: 'world'});
  await page.waitForSelector('#events li:has-text("hello")');
  const tab = await openTab(page.context());
  await tab.goto('file://' + file);
  await tab.waitForSelector('#state:has-text("live")');
  await gateway.publish({hello: 'both'});
  for (const each of [page, tab]) {
    await each.waitForSelector('#events li:has-text("both")');
    checkPage(each);
  }
  assert.equal(await page.locator('#events li').count(), 2);
  assert.equal(await tab.locator('#events li').count(), 1);
});

// ---- One tab ---------------------------------------------------------------------------------

test('as EventSource: handlers, listeners, states, close', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  script.other = (url) => url.pathname === '/told' && String(script.publish());
  const page = await openPage(scene);
  await page.goto(script.origin + '/page');
  const said = await page.evaluate(async () => {
    const said = [];
    const stream = new Sluice('stream#part', {remember: false});
    said.push(stream.url === new URL('stream', location.href).href, stream instanceof EventTarget);
    said.push([
      Sluice.CLOSED,
      stream.OPEN,
      stream.readyState,
      stream.onopen,
      stream.withCredentials,
    ]);
    const opened = new Promise((done) => (stream.onopen = done));
    stream.onmessage = () => said.push('replaced');
    stream.onmessage = function (event) {
      said.push([
        this === stream,
        event instanceof MessageEvent,
        event.type,
        event.data,
        event.origin,
      ]);
    };
    const once = new Promise((done) => stream.addEventListener('message', done, {once: true}));
    window.stream = stream;
    await opened;
    said.push(stream.readyState);
    await fetch('/told');
    await once;
    stream.onmessage = null;
    stream.close();
    said.push(stream.readyState);
    return said;
  });
  assert.deepEqual(said, [
    true,
    true,
    [2, 1, 0, null, false],
    1,
    [true, true, 'message', '1', script.origin],
    2,
  ]);
  await until('the connection is gone', () => script.streams.size === 0);
  checkPage(page);
});

test('a gap is told, and its id counts', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const [page] = await openTabs(scene, script, 1);
  script.publish(2);
  await checkNumbers(page, 1, 2);
  script.status = 503; // so that it is away while events pass
  script.cut();
  await sees(page, 'error', 2);
  script.publish(5);
  script.evict(0);
  script.status = 200;
  await sees(page, 'gap');
  const [{detail}] = await seenOf(page, 'gap');
  assert.deepEqual(detail, {reason: 'evicted', after: 'e-2', first: null, last: 'e-7'});
  assert.equal(await page.evaluate('stream.lastEventId'), 'e-7');
  script.publish();
  await page.waitForFunction(() => seen.some((event) => event.data === '8'));
  assert.deepEqual(await numbers(page), [1, 2, 8]);
  script.cut();
  await sees(page, 'open', 3);
  assert.equal((await seenOf(page, 'gap')).length, 1, 'told once');
});

test('a status does not end it: it comes back after its last id', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const [page] = await openTabs(scene, script, 1);
  script.publish(3);
  await checkNumbers(page, 1, 3);
  script.status = 502;
  script.cut();
  await sees(page, 'error', 4); // the cut, and three refusals
  assert.equal(await page.evaluate('stream.readyState'), 0);
  script.publish(3);
  script.status = 200;
  await checkNumbers(page, 1, 6);
  const {query, header} = script.requests.at(-1);
  assert.deepEqual([query.get('last_event_id'), header], ['e-3', '']);
  assert.equal(await page.evaluate('stream.readyState'), 1);
});

test('the last id is kept over page loads', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const [page] = await openTabs(scene, script, 1);
  script.publish(3);
  await checkNumbers(page, 1, 3);
  await page.goto('about:blank');
  await until('the connection is gone', () => script.streams.size === 0);
  script.publish(3);
  await page.goto(script.page());
  await checkNumbers(page, 4, 6, 'what came while another page stood there');
  await page.close();
  const tab = await openTab(page.context());
  script.publish(2);
  await tab.goto(script.page());
  await checkNumbers(tab, 7, 8, 'a new tab');
  // A page that says where it starts.
  script.publish(2);
  await tab.goto(script.page('/stream', {lastEventId: 'e-2'}));
  await checkNumbers(tab, 3, 10);
  await tab.goto(script.page('/stream', {remember: false}));
  await sees(tab, 'open');
  script.publish();
  await checkNumbers(tab, 11, 11, 'not asked to remember');
  await tab.goto(script.page('/stream?from=-4'));
  await checkNumbers(tab, 8, 11);
  await tab.reload();
  await checkNumbers(tab, 8, 11, 'from= is heeded each time');
});

test('an id that is too old is not used', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const [page] = await openTabs(scene, script, 1);
  script.publish(3);
  await checkNumbers(page, 1, 3);
  await page.goto(script.origin + '/page');
  const age = (ms) =>
    page.evaluate((ms) => {
      for (const storage of [sessionStorage, localStorage]) {
        for (const [key, value] of Object.entries(storage)) {
          storage[key] = JSON.stringify({...JSON.parse(value), time: Date.now() - ms});
        }
      }
      return Object.keys(localStorage).length;
    }, ms);
  assert.equal(await age(86_500_000), 1);
  script.publish(2);
  await page.goto(script.page());
  await sees(page, 'open');
  assert.equal(script.requests.at(-1).query.get('last_event_id'), null);
  await page.goto(script.origin + '/page');
  await age(86_000_000);
  script.publish(2);
  await page.goto(script.page());
  await checkNumbers(page, 6, 7);
});

test('storage and locks forbidden: it works without', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const page = await openPage(scene);
  script.other = (url) =>
    url.pathname === '/outer' &&
    `<!doctype html><iframe sandbox="allow-scripts"
      src="${script.page(script.origin + '/stream').replaceAll('&', '&amp;')}"></iframe>`;
  await page.goto(script.origin + '/outer');
  const frame = await until('the frame', () => page.frames()[1]);
  await sees(frame, 'open');
  assert.match(
    await frame.evaluate(() => {
      try {
        return String(localStorage);
      } catch (error) {
        return error.name;
      }
    }),
    /SecurityError/,
  );
  script.publish(3);
  await checkNumbers(frame, 1, 3);
  script.status = 503;
  script.cut();
  await sees(frame, 'error', 2);
  script.publish(2);
  script.status = 200;
  await checkNumbers(frame, 1, 5);
  checkPage(page);
});

// ---- Tabs ------------------------------------------------------------------------------------

test('an insecure origin: each tab has a connection of its own', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const tabs = await openTabs(scene, script, 3, '/stream', {}, {host: 'page.sluice.test'});
  assert.equal(await tabs[0].evaluate('isSecureContext || "locks" in navigator'), false);
  assert.equal(script.streams.size, 3);
  script.publish(3);
  for (const tab of tabs) await checkNumbers(tab, 1, 3);
  await tabs[0].goto('about:blank');
  script.publish(3);
  for (const tab of tabs.slice(1)) await checkNumbers(tab, 1, 6);
  await tabs[0].goto(script.page('/stream', {}, {host: 'page.sluice.test'}));
  await checkNumbers(tabs[0], 4, 6, 'the id is kept here too');
});

test('eight tabs have one connection', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const tabs = await openTabs(scene, script, 8); // each waits for its `open`
  script.publish(100);
  for (const tab of tabs) {
    await checkNumbers(tab, 1, 100);
    assert.equal(await tab.evaluate('stream.readyState'), 1);
    assert.equal(await tab.evaluate('stream.lastEventId'), 'e-100');
    checkPage(tab);
  }
  assert.equal(script.mostStreams, 1);
  assert.equal(script.requests.length, 1);
  const alone = await openTab(tabs[0].context());
  await alone.goto(script.page('/stream', {share: false, remember: false}));
  await sees(alone, 'open');
  assert.equal(script.streams.size, 2);
});

test('all tabs are told of gaps, refusals and faults', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const tabs = await openTabs(scene, script, 3);
  script.publish(2);
  for (const tab of tabs) await checkNumbers(tab, 1, 2);
  script.refusal = {error: 'subscribers_full', message: 'no place'};
  script.cut();
  for (const tab of tabs) await sees(tab, 'refused');
  script.publish(3);
  script.evict(1);
  script.refusal = null;
  for (const tab of tabs) {
    await sees(tab, 'open', 2);
    await sees(tab, 'gap');
    assert.ok((await seenOf(tab, 'error')).length >= 1);
    assert.deepEqual((await seenOf(tab, 'refused'))[0].detail.error, 'subscribers_full');
    await sees(tab, 'message', 3);
    assert.deepEqual(await numbers(tab), [1, 2, 5]);
  }
  assert.equal(script.mostStreams, 1);
});

// Publishes without pause until told to end.
function publishing(script) {
  let isOn = true;
  const ended = (async () => {
    while (isOn) {
      script.publish();
      await new Promise((done) => setImmediate(done));
      if (script.published % 8 === 0) await new Promise((done) => setTimeout(done, 1));
    }
  })();
  return async () => {
    isOn = false;
    await ended;
    return script.published;
  };
}

test(
  'the leader is closed, again and again: nothing missing, nothing doubled',
  kOne,
  async (scene) => {
    const script = await ScriptedStream.start(scene);
    const tabs = await openTabs(scene, script, 6);
    script.publish();
    for (const tab of tabs) await checkNumbers(tab, 1, 1);
    const end = publishing(script);
    while (tabs.length > 1) {
      const opens = script.requests.length;
      await tabs.shift().close();
      await until('another took over', () => script.requests.length > opens);
      await sees(tabs.at(-1), 'open', 7 - tabs.length);
    }
    const last = await end();
    await checkNumbers(tabs[0], 1, last);
    assert.equal(script.requests.length, 6, 'one connection for each leader, and none besides');
  },
);

test('every tab of several that lose their leader has all', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const tabs = await openTabs(scene, script, 4);
  script.publish();
  for (const tab of tabs) await checkNumbers(tab, 1, 1);
  const end = publishing(script);
  await tabs[0].evaluate('stream.close()');
  await sees(tabs[3], 'open', 2);
  const session = await tabs[1].context().newCDPSession(tabs[1]);
  session.send('Page.crash').catch(() => {}); // never answered
  await sees(tabs[3], 'open', 3);
  const last = await end();
  for (const tab of tabs.slice(2)) await checkNumbers(tab, 1, last);
});

// Stops all that runs in the tab at its next event, as freezing does; gives what wakes it up again.
// (Headless Chromium shows every page, and freezes none that is shown.)
async function freeze(tab, script) {
  const session = await tab.context().newCDPSession(tab);
  await session.send('Debugger.enable');
  const frozen = new Promise((done) => session.once('Debugger.paused', done));
  await session.send('Debugger.pause');
  script.publish();
  await frozen;
  return () => session.send('Debugger.disable');
}

test('a leader that is told of its freezing hands over at once', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const tabs = await openTabs(scene, script, 3);
  script.publish();
  for (const tab of tabs) await checkNumbers(tab, 1, 1);
  const end = publishing(script);
  // Browsers tell of it in two ways; each time the tab at the head of `tabs` is the leader.
  for (const [stop, start] of [
    ['freeze', 'resume'],
    ['pagehide', 'pageshow'],
  ]) {
    const tell = (type) =>
      tabs[0].evaluate((type) => {
        const target = type.startsWith('page') ? window : document;
        target.dispatchEvent(new Event(type));
        return stream.readyState;
      }, type);
    const opens = (tab) => tab.evaluate(() => seen.filter((e) => e.type === 'open').length);
    const [mine, another] = [await opens(tabs[0]), await opens(tabs[1])];
    assert.equal(await tell(stop), 0);
    await sees(tabs[1], 'open', another + 1);
    await tell(start);
    await sees(tabs[0], 'open', mine + 1);
    tabs.push(tabs.shift());
  }
  const last = await end();
  for (const tab of tabs) await checkNumbers(tab, 1, last);
  await until('one connection again', () => script.streams.size === 1);
});

test('a leader frozen without being told loses its lock', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const [leader] = await openTabs(scene, script, 1);
  const tab = await openTab(leader.context());
  await tab.goto(script.page('/stream', {}, {more: '&hurry'}));
  await sees(tab, 'open');
  script.publish(2);
  for (const each of [leader, tab]) await checkNumbers(each, 1, 2);
  const wake = await freeze(leader, script);
  script.publish(2);
  await checkNumbers(tab, 1, 5);
  script.publish(2);
  await checkNumbers(tab, 1, 7);
  await wake();
  await checkNumbers(leader, 1, 7);
  await until('it follows now', () => script.streams.size === 1);
  script.publish(2);
  await checkNumbers(leader, 1, 9);
  await checkNumbers(tab, 1, 9);
});

test('a tab that is loaded again catches up with the others', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const tabs = await openTabs(scene, script, 3);
  script.publish();
  for (const tab of tabs) await checkNumbers(tab, 1, 1);
  const end = publishing(script);
  for (let round = 0; round < 5; round++) {
    // What the page had is read as it goes; its successor has to begin right behind.
    const had = tabs[2].waitForEvent('console');
    await tabs[2].evaluate(() =>
      addEventListener('pagehide', () => console.log(stream.lastEventId), {capture: true}),
    );
    await tabs[2].reload();
    const after = Number((await had).text().split('-')[1]);
    await tabs[2].waitForFunction(() => seen.filter((e) => e.type === 'message').length > 50);
    const got = await numbers(tabs[2]);
    assert.deepEqual(got, range(after + 1, after + got.length), `round ${round}`);
  }
  const last = await end();
  for (const tab of tabs.slice(0, 2)) await checkNumbers(tab, 1, last);
  await tabs[2].waitForFunction((last) => seen.at(-1).data === String(last), last);
  await until('one connection again', () => script.streams.size === 1);
});

// A leader played by the test: it holds the lock, and says to each hello what it was told to.
async function playLeader(scene, script, answers) {
  const leader = await openPage(scene);
  await leader.goto(script.origin + '/page');
  await leader.evaluate(
    async ([url, answers]) => {
      const name = 'sluice ' + url;
      window.channel = new BroadcastChannel(name);
      channel.onmessage = ({data}) => {
        if (data.hello) for (const words of answers) channel.postMessage(words);
      };
      await new Promise((held) => {
        navigator.locks.request(name, () => (held(), new Promise(() => {})));
      });
    },
    [script.origin + '/stream', answers],
  );
  leader.say = (words) => leader.evaluate((words) => channel.postMessage(words), words);
  return leader;
}
const playedTypes = ['message', 'sluice.open', 'sluice.gap', 'sluice.mark', 'sluice.error'];
const playedState = (n, term) => ({
  state: {readyState: 1, id: `e-${n}`, types: playedTypes},
  term,
});
const playedEvent = (n, term) => ({
  event: {type: 'message', data: String(n), id: `e-${n}`},
  term,
});

test('a tab that joins amid events begins behind what it had', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  script.publish(9);
  // An event arrives before the leader has said where it stands.
  const leader = await playLeader(scene, script, [playedEvent(9, 1), playedState(9, 1)]);
  const tab = await openTab(leader.context());
  await tab.goto(script.page('/stream', {lastEventId: 'e-2'}));
  await checkNumbers(tab, 3, 9);
});

test('a new leader that stands behind, and an old one that wakes', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const leader = await playLeader(scene, script, [playedState(1, 1)]);
  const tab = await openTab(leader.context());
  await tab.goto(script.page());
  await sees(tab, 'open');
  for (const n of [2, 3, 4]) await leader.say(playedEvent(n, 1));
  await checkNumbers(tab, 2, 4);
  await leader.say(playedState(2, 2));
  await leader.say(playedEvent(3, 2));
  await leader.say(playedEvent(4, 2));
  await leader.say(playedEvent(5, 2));
  await leader.say(playedEvent(3, 1)); // of the old one
  await leader.say(playedEvent(6, 2));
  await checkNumbers(tab, 2, 6);
  assert.equal(script.requests.length, 0, 'no connection was needed');
});

test('tabs that ask for a start of their own get it', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  script.publish(10);
  const [page, tab] = await openTabs(scene, script, 2, '/stream?from=-3');
  await checkNumbers(page, 8, 10);
  await checkNumbers(tab, 8, 10);
  script.publish(2);
  await checkNumbers(page, 8, 12);
  await checkNumbers(tab, 8, 12);
  await until('they share again', () => script.streams.size === 1);
  script.publish(1);
  await checkNumbers(page, 8, 13);
  await checkNumbers(tab, 8, 13);
});

test('a quiet stream is caught up with too', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  script.publish(10);
  const [page, tab] = await openTabs(scene, script, 2, '/stream?from=-3');
  assert.equal(script.streams.size, 2);
  await until('they share without any event', () => script.streams.size === 1);
  script.publish(2);
  await checkNumbers(page, 8, 12);
  await checkNumbers(tab, 8, 12);
});

test('each tab may listen for other types', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const [page] = await openTabs(scene, script, 1, '/stream', {}, {types: ['goal']});
  const tab = await openTab(page.context());
  await tab.goto(script.page('/stream', {}, {types: ['card']}));
  await sees(tab, 'open');
  script.publish(1, 'goal');
  script.publish(1, 'card');
  script.publish(1);
  await sees(tab, 'message');
  await sees(page, 'message');
  assert.deepEqual(
    (await page.evaluate('seen')).map((event) => event.type),
    ['open', 'goal', 'message'],
  );
  assert.deepEqual(
    (await tab.evaluate('seen')).map((event) => event.type),
    ['open', 'card', 'message'],
  );
  // The other takes over and knows the types of those that are left.
  const third = await openTab(page.context());
  await third.goto(script.page('/stream', {}, {types: ['goal']}));
  await sees(third, 'open');
  await page.close();
  await sees(third, 'open', 2);
  script.publish(1, 'goal');
  await sees(third, 'goal');
});

test('through the back-forward cache', kOne, async (scene) => {
  const script = await ScriptedStream.start(scene);
  const browser = await launch({ignoreDefaultArgs: ['--disable-back-forward-cache']});
  scene.later(() => browser.close());
  const context = await browser.newContext();
  const page = await openTab(context);
  await page.goto(script.page());
  await sees(page, 'open');
  script.publish(2);
  await checkNumbers(page, 1, 2);
  await page.evaluate(() => {
    window.returned = null;
    addEventListener('pageshow', (event) => (window.returned = event.persisted));
  });
  await page.goto('http://page.sluice.test:' + script.port + '/page');
  await until('the connection is gone', () => script.streams.size === 0);
  script.publish(3);
  await page.goBack({waitUntil: 'commit'});
  await page.waitForFunction('window.returned === true');
  await checkNumbers(page, 1, 5);
});
