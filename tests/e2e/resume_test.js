// Goal: clients as people use them come back by themselves and miss nothing: each is cut off over
// and over (streams have a short life) while events are published all the time.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {suite} from './registry.js';
import {run, until} from './scene.js';
import {openPage} from './browser.js';

const test = suite('resume');
const require = createRequire(import.meta.url);
const kCutOften = [
  '--max-stream-age',
  '300ms',
  '--stream-retry-min',
  '50ms',
  '--stream-retry-max',
  '100ms',
  '--stop-spread',
  '100ms',
];
const kCuts = 4;

async function publishTo(gateway, topic, data) {
  const reply = await gateway.request(`/publish/${topic}`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(data),
  });
  assert.equal(reply.status, 200, reply.text);
  return reply.json.data.id;
}

// Publishes to two topics until `opens` says that the reader was cut off often enough; gives what
// the reader of orders/* must have had.
async function publishThroughCuts(gateway, opens) {
  const sent = [];
  await until('it was cut off often enough', async () => {
    const n = sent.length;
    sent.push({data: JSON.stringify({n}), id: await publishTo(gateway, `orders/${n % 3}`, {n})});
    await publishTo(gateway, 'elsewhere', {n});
    return (await opens()) > kCuts;
  });
  sent.push({data: '"end"', id: await publishTo(gateway, 'orders/last', 'end')});
  return sent;
}

for (const [name, load] of Object.entries({
  'eventsource 2': async () => require('eventsource2'),
  'eventsource 4': async () => (await import('eventsource4')).EventSource,
})) {
  test(`npm ${name}: cut off over and over, it has every event once`, async (scene) => {
    const EventSource = await load();
    const gateway = await scene.gateway(kCutOften, {shards: 2});
    const source = new EventSource(gateway.url('/stream?topic=orders/*'));
    scene.later(() => source.close());
    const seen = [];
    let opens = 0;
    source.onmessage = (event) => seen.push({data: event.data, id: event.lastEventId});
    source.addEventListener('sluice.open', () => opens++);
    source.addEventListener('sluice.gap', (event) => seen.push({gap: event.data}));
    source.onerror = () => {};
    await until('it is open', () => opens === 1);
    const sent = await publishThroughCuts(gateway, () => opens);
    await until('the last has come', () => seen.at(-1)?.data === '"end"');
    assert.deepEqual(seen, sent);
  });
}

test("Chromium's EventSource: cut off over and over, it has every event once", async (scene) => {
  const gateway = await scene.gateway(kCutOften, {shards: 2});
  const {origin} = await scene.server((request, reply) => {
    reply.setHeader('Content-Type', 'text/html; charset=utf-8');
    reply.end('<!doctype html><title>another origin</title>');
  });
  const page = await openPage(scene);
  await page.goto(origin + '/');
  await page.evaluate((url) => {
    window.seen = [];
    window.opens = 0;
    const source = new EventSource(url);
    source.onmessage = (event) => window.seen.push({data: event.data, id: event.lastEventId});
    source.addEventListener('sluice.open', () => window.opens++);
    source.addEventListener('sluice.gap', (event) => window.seen.push({gap: event.data}));
  }, gateway.url('/stream?topic=orders/*'));
  await page.waitForFunction(() => window.opens === 1);
  const sent = await publishThroughCuts(gateway, () => page.evaluate('opens'));
  await page.waitForFunction(() => window.seen.at(-1)?.data === '"end"');
  assert.deepEqual(await page.evaluate('seen'), sent);
});

test('curl with the header goes on where it was', async (scene) => {
  const gateway = await scene.gateway([], {shards: 2});
  const ids = [];
  for (let n = 0; n < 5; n++) ids.push(await publishTo(gateway, 'orders/42', {n}));
  await publishTo(gateway, 'elsewhere', {});
  const {stdout} = await run('curl', [
    '-sN',
    '--max-time',
    '1',
    '-H',
    `Last-Event-ID: ${ids[1]}`,
    gateway.url('/stream/orders/42'),
  ]);
  const blocks = stdout.split('\n\n').filter((block) => block.startsWith('data: '));
  assert.deepEqual(
    blocks,
    [2, 3, 4].map((n) => `data: {"n":${n}}\nid: ${ids[n]}`),
  );
});

test('a reader of a quiet topic is told of no gap, one of a busy topic is', async (scene) => {
  const gateway = await scene.gateway(['--history-events-max', '100']);
  const quiet = await publishTo(gateway, 'quiet', {});
  const busy = [];
  for (let n = 0; n < 300; n++) busy.push(await publishTo(gateway, 'busy', {n}));

  const quietReader = await scene.stream(gateway, {
    path: '/stream/quiet',
    headers: {'Last-Event-ID': quiet},
  });
  const next = await publishTo(gateway, 'quiet', {again: true});
  assert.deepEqual(await quietReader.next(), {type: 'message', data: '{"again":true}', id: next});

  const busyReader = await scene.stream(gateway, {
    path: '/stream/busy',
    headers: {'Last-Event-ID': busy[9]},
  });
  const gap = await busyReader.next();
  assert.equal(gap.type, 'sluice.gap');
  const {reason, after, first, last} = JSON.parse(gap.data);
  const held = await busyReader.next();
  assert.deepEqual({reason, after, first}, {reason: 'evicted', after: busy[9], first: busy[10]});
  assert.equal(gap.id, last);
  assert.equal(busy.indexOf(held.id), busy.indexOf(last) + 1);
});
