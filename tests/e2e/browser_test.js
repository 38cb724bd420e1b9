// Goal: what a person does. Chromium opens the page, broadcasts, sees it arrive; and Chromium's own
// EventSource keeps its stream through restarts and refusals without any code of ours in between.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {run, until} from './scene.js';
import {checkPage, openPage, screenshot} from './browser.js';

const test = suite('browser');
// So that a reconnect comes soon; that it comes at all is what is tested.
const kSoon = ['--stream-retry-min', '100ms', '--stream-retry-max', '300ms'];

async function openGatewayPage(scene, gateway, options) {
  const page = await openPage(scene, options);
  await page.goto(gateway.url('/'));
  await page.waitForSelector('#state[data-state="open"]');
  return page;
}

// A page of another origin that notes all its EventSource says.
async function openForeignPage(scene, expression, server) {
  const {origin} =
    server ??
    (await scene.server((request, reply) => {
      reply.setHeader('Content-Type', 'text/html; charset=utf-8');
      reply.end('<!doctype html><title>another origin</title>');
    }));
  const page = await openPage(scene);
  await page.goto(origin + '/');
  await page.evaluate((text) => {
    window.seen = [];
    window.opens = 0;
    window.errors = 0;
    window.source = (0, eval)(text);
    const note = (event) =>
      window.seen.push({type: event.type, data: event.data, id: event.lastEventId});
    window.source.onmessage = note;
    window.source.onopen = () => {
      window.opens++;
    };
    window.source.addEventListener('error', (event) => {
      if (!('data' in event)) window.errors++;
    });
    for (const type of ['sluice.open', 'sluice.error', 'score'])
      window.source.addEventListener(type, note);
  }, expression);
  return page;
}
const sees = (page, type, count = 1) =>
  page.waitForFunction(
    ([type, count]) => window.seen.filter((event) => event.type === type).length >= count,
    [type, count],
  );
const messages = async (page) =>
  (await page.evaluate('seen')).filter((event) => event.type === 'message');

test('the page: broadcast by the form, see it arrive', async (scene) => {
  const gateway = await scene.gateway([], {shards: 2});
  const stream = await scene.stream(gateway);
  const page = await openGatewayPage(scene, gateway, {viewport: {width: 1280, height: 860}});
  await page.fill('#body', '{"home": 1, "away": 0}');
  await page.click('#send');
  await page.waitForSelector('#reply:not([hidden])');
  assert.match(await page.textContent('#reply-line'), /^Accepted for 2 subscribers$/);
  await page.waitForSelector('#list li:has-text("message")');
  const event = await stream.next();
  assert.equal(event.data, '{"home": 1, "away": 0}');
  assert.equal(await page.textContent('#list li:has-text("message") .id'), event.id);
  // A type: the page listens for it by itself before it sends.
  await page.fill('#event-type', 'score');
  await page.fill('#body', '[2, 18446744073709551616]');
  await page.press('#body', 'Control+Enter');
  await page.waitForSelector('#list li:has-text("score")');
  assert.match(
    await page.textContent('#list li:has-text("score") pre'),
    /18446744073709551616/,
    'big numbers stay',
  );
  // Text of several lines.
  await page.fill('#event-type', '');
  await page.check('input[value="text"]');
  await page.fill('#body', 'two lines\n<b>of text</b>');
  await page.click('#send');
  await page.waitForFunction(
    () => document.querySelector('#list li pre')?.textContent === 'two lines\n<b>of text</b>',
  );
  // What is refused is shown as the gateway said it.
  await page.check('input[value="json"]');
  await page.fill('#body', '{');
  await page.click('#send');
  await page.waitForSelector('#reply.bad');
  assert.match(await page.textContent('#reply-body'), /cant parse request/);
  assert.equal(await page.textContent('#count-events'), '3');
  await screenshot(page, `page-${scene.engine}.png`);
  checkPage(page);
});

test('the page: types, pause, clear, many events', {engines: 'one'}, async (scene) => {
  const gateway = await scene.gateway();
  const page = await openGatewayPage(scene, gateway, {
    viewport: {width: 390, height: 844},
    colorScheme: 'dark',
  });
  await page.fill('#new-type', 'goal');
  await page.press('#new-type', 'Enter');
  await page.fill('#new-type', 'error');
  await page.press('#new-type', 'Enter');
  assert.equal(await page.locator('.chip').count(), 4, 'message, sluice.open, sluice.error, goal');
  await page.fill('#new-type', '');
  await gateway.publish({n: 1}, {event: 'goal'});
  await gateway.publish({n: 2}, {event: 'unheard'});
  await gateway.publish({n: 3});
  await page.waitForSelector('#list li:has-text("message")');
  assert.equal(await page.locator('#list li:has-text("goal")').count(), 1);
  assert.equal(await page.locator('#list li:has-text("unheard")').count(), 0);
  await page.click('.chip:has-text("goal") button');
  assert.equal(
    await page.locator('#list li:has-text("goal")').count(),
    0,
    'hidden by a click on its type',
  );
  await page.click('.chip:has-text("goal") button');
  assert.equal(await page.locator('#list li:has-text("goal")').count(), 1);
  await page.click('#pause');
  await gateway.publish({n: 4});
  await page.waitForFunction(() => document.getElementById('foot').textContent.includes('1 new'));
  assert.equal(await page.locator('#list li:has-text("message")').count(), 1);
  await page.click('#pause');
  await page.waitForFunction(() => document.querySelectorAll('#list li').length === 4);
  await page.click('#clear');
  assert.equal(await page.locator('#list li').count(), 0);
  const count = 1500;
  for (let n = 0; n < count; n += 10) {
    await Promise.all(Array.from({length: 10}, (_, i) => gateway.publish({n: n + i})));
  }
  await page.waitForFunction(() => document.getElementById('count-events').textContent === '1,500');
  assert.ok((await page.locator('#list li').count()) <= 200, 'the list is bounded');
  const isWide = await page.evaluate(
    () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
  );
  assert.equal(isWide, false, 'nothing wider than the phone');
  await page.evaluate(() => scrollTo(0, 0));
  await screenshot(page, 'page-phone-dark.png');
  checkPage(page);
});

test('the page: its lines work in a shell', {engines: 'one'}, async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const page = await openGatewayPage(scene, gateway);
  await page.fill('#event-type', "it's");
  await page.fill('#body', '{"quote": "it\'s $HOME `x`"}');
  const publish = await run('bash', [
    '-c',
    (await page.textContent('#line-publish')).replace(/^curl/, 'curl -sS'),
  ]);
  assert.equal(JSON.parse(publish.stdout).success, true, publish.stdout + publish.stderr);
  const event = await stream.next();
  assert.equal(event.type, "it's");
  assert.equal(event.data, '{"quote": "it\'s $HOME `x`"}');
  await page.check('input[value="text"]');
  await page.fill('#body', "@no file\n'quoted'");
  await run('bash', ['-c', (await page.textContent('#line-publish')).replace(/^curl/, 'curl -sS')]);
  assert.equal((await stream.next()).data, "@no file\n'quoted'");
  const stats = await run('bash', [
    '-c',
    (await page.textContent('#line-stats')).replace(/^curl/, 'curl -sS'),
  ]);
  assert.equal(JSON.parse(stats.stdout).subscribers, 2);
  assert.match(
    await page.textContent('#line-watch'),
    /^curl -N 'http:\/\/127\.0\.0\.1:[0-9]+\/stream'$/,
  );
});

test('the page: a key is asked for, kept in the tab, and sent', {engines: 'one'}, async (scene) => {
  const gateway = await scene.gateway([
    '--publish-key-file',
    scene.file('keys', 'the-key-0123456789abcdef\n'),
  ]);
  const page = await openGatewayPage(scene, gateway);
  await page.click('#send');
  await page.waitForSelector('#reply.bad');
  assert.match(await page.textContent('#reply-line'), /^401 .*key/);
  await page.fill('#key', 'the-key-0123456789abcdef');
  await page.click('#send');
  await page.waitForSelector('#reply:not(.bad)');
  assert.ok(
    !(await page.textContent('#line-publish')).includes('the-key'),
    'never in a line to copy',
  );
  await page.reload();
  assert.equal(await page.inputValue('#key'), 'the-key-0123456789abcdef');
  await page.waitForFunction(
    () => document.getElementById('count-subscribers').textContent === '1',
  );
  checkPage(page);
});

test('the page reconnects by itself after a restart', async (scene) => {
  let gateway = await scene.gateway(kSoon);
  const page = await openGatewayPage(scene, gateway);
  await gateway.publish({before: true});
  await page.waitForSelector('#list li:has-text("before")');
  await gateway.stop();
  await page.waitForSelector('#state[data-state="reconnecting"]');
  gateway = await scene.gateway(kSoon, {port: gateway.port});
  await page.waitForSelector('#state[data-state="open"]');
  await gateway.publish({after: true});
  await page.waitForSelector('#list li:has-text("after")');
  checkPage(page);
});

test(
  'the page that is turned away says why, and connects once there is room',
  {engines: 'one'},
  async (scene) => {
    const gateway = await scene.gateway(['--stream-subscribers-max', '1', ...kSoon]);
    const first = await scene.stream(gateway);
    const page = await openPage(scene);
    await page.goto(gateway.url('/'));
    await page.waitForSelector('#notice:not([hidden]):has-text("turned this stream away")');
    assert.notEqual(await page.getAttribute('#state', 'data-state'), 'open');
    first.close();
    await page.waitForSelector('#state[data-state="open"]');
    await page.waitForSelector('#notice', {state: 'hidden'});
    checkPage(page);
  },
);

test('EventSource of another origin: named events, ids, in order', async (scene) => {
  const gateway = await scene.gateway();
  const page = await openForeignPage(
    scene,
    `new EventSource(${JSON.stringify(gateway.url('/stream'))})`,
  );
  await sees(page, 'sluice.open');
  const sent = [];
  for (let n = 0; n < 50; n++) {
    const event = n % 5 === 0 ? 'score' : undefined;
    const {id} = await gateway.publish({n}, {event});
    sent.push({type: event ?? 'message', data: JSON.stringify({n}), id});
  }
  await gateway.publish({n: 50}, {event: 'nobody listens'});
  const {id} = await gateway.publish({n: 51});
  sent.push({type: 'message', data: '{"n":51}', id});
  await page.waitForFunction((id) => window.seen.some((event) => event.id === id), id);
  const seen = await page.evaluate('seen');
  assert.equal(seen[0].type, 'sluice.open');
  assert.deepEqual(seen.slice(1), sent);
});

test('EventSource reconnects by itself after a restart', async (scene) => {
  let gateway = await scene.gateway(kSoon);
  const page = await openForeignPage(
    scene,
    `new EventSource(${JSON.stringify(gateway.url('/stream'))})`,
  );
  await sees(page, 'sluice.open');
  for (let round = 1; round <= 3; round++) {
    await gateway.publish({round});
    await sees(page, 'message', round);
    await gateway.stop();
    gateway = await scene.gateway(kSoon, {port: gateway.port});
    await sees(page, 'sluice.open', round + 1);
  }
  assert.deepEqual(
    (await messages(page)).map((event) => event.data),
    ['{"round":1}', '{"round":2}', '{"round":3}'],
  );
  assert.equal(await page.evaluate('source.readyState'), 1);
});

test('EventSource survives a gateway that is killed', async (scene) => {
  let gateway = await scene.gateway(kSoon);
  const page = await openForeignPage(
    scene,
    `new EventSource(${JSON.stringify(gateway.url('/stream'))})`,
  );
  await sees(page, 'sluice.open');
  gateway.signal('SIGKILL');
  await gateway.ended;
  // As a supervisor would, until it starts: the kernel takes a killed process's rings down in the
  // background, and its listening sockets with them (seen on 6.x with io_uring).
  gateway = await until('it starts again', async () => {
    try {
      return await scene.gateway(kSoon, {port: gateway.port});
    } catch (error) {
      assert.match(error.message, /in use/);
      return null;
    }
  });
  await sees(page, 'sluice.open', 2);
  await gateway.publish({n: 1});
  await sees(page, 'message');
});

test('EventSource that is refused comes back until there is room', async (scene) => {
  const gateway = await scene.gateway(['--stream-subscribers-max', '1', ...kSoon]);
  const first = await scene.stream(gateway);
  const page = await openForeignPage(
    scene,
    `new EventSource(${JSON.stringify(gateway.url('/stream'))})`,
  );
  await sees(page, 'sluice.error', 3);
  const seen = await page.evaluate('seen');
  assert.ok(
    seen.every(
      (event) =>
        event.type === 'sluice.error' && JSON.parse(event.data).error === 'subscribers_full',
    ),
  );
  first.close();
  await sees(page, 'sluice.open');
  await gateway.publish({n: 1});
  await sees(page, 'message');
});

test('EventSource with credentials, by a list of origins', {engines: 'one'}, async (scene) => {
  const server = await scene.server((request, reply) => {
    reply.setHeader('Content-Type', 'text/html');
    reply.end('<!doctype html>');
  });
  const gateway = await scene.gateway(['--http-cors-origins', server.origin]);
  const page = await openForeignPage(
    scene,
    `new EventSource(${JSON.stringify(gateway.url('/stream'))}, {withCredentials: true})`,
    server,
  );
  await sees(page, 'sluice.open');
  const stranger = await openForeignPage(
    scene,
    `new EventSource(${JSON.stringify(gateway.url('/stream'))})`,
  );
  await stranger.waitForFunction('errors > 0');
  await gateway.publish({n: 1});
  await sees(page, 'message');
  assert.deepEqual(await stranger.evaluate('seen'), []);
});

test("the blog's Angular page works unchanged", async (scene) => {
  const gateway = await scene.gateway(['--stream-heartbeat', '100ms']);
  // What its service does: one EventSource on the path of the blog, JSON.parse of every message.
  const server = await scene.server((request, reply) => {
    reply.setHeader('Content-Type', 'text/html');
    reply.end(`<!doctype html><ul id="items"></ul><script>
      const source = new EventSource('${gateway.origin}/api/v1/sso/stream');
      source.onmessage = (event) => {
        const item = JSON.parse(event.data);
        const line = document.createElement('li');
        line.textContent = item.name + ' ' + item.score;
        document.getElementById('items').append(line);
      };
      source.onerror = () => { document.title = 'error'; };
    </script>`);
  });
  const page = await openPage(scene);
  await page.goto(server.origin);
  const raw = await scene.stream(gateway);
  await until('it is connected', async () => (await gateway.stats()).subscribers === 2);
  await raw.heartbeats(3);
  for (let n = 1; n <= 5; n++) {
    const post = await run('curl', [
      '-sS',
      '-X',
      'POST',
      '-H',
      'Content-Type: application/json',
      '-d',
      `{"name":"Lions","score":${n}}`,
      gateway.url('/api/v1/sso/broadcast'),
    ]);
    assert.equal(JSON.parse(post.stdout).success, true);
    await page.waitForSelector(`#items li:has-text("Lions ${n}")`);
  }
  assert.equal(await page.locator('#items li').count(), 5);
  assert.equal(await page.title(), '');
  checkPage(page);
});
