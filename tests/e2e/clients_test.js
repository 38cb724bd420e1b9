// Goal: the npm clients that people use get each event once, in order, and no message that nobody
// published: fetch-event-source reports every blank line as one, so idle time with heartbeats is
// part of the test.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join, normalize} from 'node:path';
import {fileURLToPath} from 'node:url';
import {suite} from './registry.js';
import {until} from './scene.js';
import {checkPage, openPage} from './browser.js';

const test = suite('clients');
const require = createRequire(import.meta.url);
const modules = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const kWords = [
  '--stream-heartbeat',
  '100ms',
  '--stream-retry-min',
  '100ms',
  '--stream-retry-max',
  '200ms',
];
const kCount = 300;

// Publishes with idle time in between that has heartbeats in it; gives what was sent.
async function publishWithPauses(scene, gateway) {
  const raw = await scene.stream(gateway);
  const sent = [];
  for (let n = 0; n < kCount; n++) {
    if (n % 100 === 0) await raw.heartbeats(2);
    const {id} = await gateway.publish(n % 7 === 0 ? {text: `line ${n}\nsecond`} : {n});
    sent.push({data: n % 7 === 0 ? `line ${n}\nsecond` : JSON.stringify({n}), id});
  }
  await raw.heartbeats(2);
  const {id} = await gateway.publish({end: true});
  sent.push({data: '{"end":true}', id});
  return sent;
}

for (const [name, load] of Object.entries({
  'eventsource 2': async () => require('eventsource2'),
  'eventsource 4': async () => (await import('eventsource4')).EventSource,
})) {
  test(`npm ${name}: every event, in order, and after a restart`, async (scene) => {
    const EventSource = await load();
    let gateway = await scene.gateway(kWords);
    const source = new EventSource(gateway.url('/stream'));
    scene.later(() => source.close());
    const seen = [];
    let opens = 0;
    source.onmessage = (event) => seen.push({data: event.data, id: event.lastEventId});
    source.addEventListener('sluice.open', () => {
      opens++;
    });
    source.onerror = () => {};
    await until('it is open', () => opens === 1);
    const sent = await publishWithPauses(scene, gateway);
    await until('the last has come', () => seen.at(-1)?.data === '{"end":true}');
    assert.deepEqual(seen, sent);
    await gateway.stop();
    gateway = await scene.gateway(kWords, {port: gateway.port});
    await until('it came back', () => opens === 2);
    await gateway.publish({again: true});
    await until('the next has come', () => seen.at(-1)?.data === '{"again":true}');
    assert.equal(seen.length, sent.length + 1);
  });
}

// In a browser, which is where it is used: its modules are served from another origin.
async function openFetchPage(scene, address) {
  const {origin} = await scene.server((request, reply) => {
    if (request.url.startsWith('/modules/')) {
      const path = join(modules, normalize(request.url.slice('/modules/'.length)));
      reply.setHeader('Content-Type', 'text/javascript');
      reply.end(readFileSync(path.endsWith('.js') ? path : path + '.js'));
    } else {
      reply.setHeader('Content-Type', 'text/html');
      reply.end('<!doctype html>');
    }
  });
  const page = await openPage(scene);
  await page.goto(origin);
  await page.evaluate(async (address) => {
    const {fetchEventSource} = await import(
      '/modules/@microsoft/fetch-event-source/lib/esm/index.js'
    );
    window.seen = [];
    window.done = fetchEventSource(address, {
      headers: {Authorization: 'Bearer none', 'Cache-Control': 'no-cache'}, // so that there is a preflight
      openWhenHidden: true,
      onmessage: (message) => window.seen.push(message),
      onclose: () => {
        throw new Error('again');
      }, // its way to ask for another try
      onerror: () => {},
    });
  }, address);
  return page;
}

test('@microsoft/fetch-event-source in Chromium: no message that nobody published', async (scene) => {
  let gateway = await scene.gateway(kWords);
  const page = await openFetchPage(scene, gateway.url('/stream'));
  await page.waitForFunction(() => window.seen.some((message) => message.event === 'sluice.open'));
  const sent = await publishWithPauses(scene, gateway);
  await page.waitForFunction(() => window.seen.at(-1).data === '{"end":true}');
  const seen = await page.evaluate('seen');
  assert.equal(seen[0].event, 'sluice.open');
  assert.deepEqual(
    seen.slice(1).map(({data, id, event}) => ({data, id, event})),
    sent.map((each) => ({...each, event: ''})),
  );
  // A goodbye, a restart and a refusal are no messages either.
  await gateway.stop();
  gateway = await scene.gateway([...kWords, '--stream-subscribers-max', '1'], {port: gateway.port});
  await page.waitForFunction(
    () => window.seen.filter((message) => message.event === 'sluice.open').length === 2,
  );
  await gateway.publish({again: true});
  await page.waitForFunction(() => window.seen.at(-1).data === '{"again":true}');
  const all = (await page.evaluate('seen')).filter(
    (message) => !message.event.startsWith('sluice.'),
  );
  assert.equal(all.length, sent.length + 1);
  assert.ok(all.every((message) => message.data !== ''));
  checkPage(page);
});

test(
  '@microsoft/fetch-event-source that is refused hears sluice.error only',
  {engines: 'one'},
  async (scene) => {
    const gateway = await scene.gateway([...kWords, '--stream-subscribers-max', '1']);
    const first = await scene.stream(gateway);
    const page = await openFetchPage(scene, gateway.url('/stream'));
    await page.waitForFunction(() => window.seen.length >= 3);
    assert.ok((await page.evaluate('seen')).every((message) => message.event === 'sluice.error'));
    first.close();
    await page.waitForFunction(() => window.seen.at(-1).event === 'sluice.open');
  },
);
