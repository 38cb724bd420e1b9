// Goal: a reader that stops is cut off by its bound, and nobody else notices.
//
// It stops by not reading its socket. What the kernel takes before the gateway sees any lag is
// bounded by both socket buffers, so events are published until the stats show the disconnect.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {until} from './scene.js';

const test = suite('slow reader');
const kRoundEvents = 200;
const kRoundsMax = 400;

async function flood(gateway, good, isOver) {
  const pad = 'x'.repeat(2000);
  let sent = 0;
  for (let round = 0; round < kRoundsMax; round++) {
    for (let n = 0; n < kRoundEvents; n += 8) {
      await Promise.all(Array.from({length: 8}, (_, i) => gateway.publish({n: sent + i, pad})));
      sent += 8;
      await good.until(`event ${sent}`, () => good.parser.events.length > sent);
    }
    if (await isOver()) return sent;
  }
  throw new Error(`still there after ${sent} events`);
}

function checkWhole(events, count) {
  const seen = new Set(events.map((event) => JSON.parse(event.data).n));
  assert.equal(events.length, count);
  assert.equal(seen.size, count, 'each event once');
}

for (const [reason, words] of Object.entries({
  lag_bytes: [
    '--event-frame-bytes-max',
    '60000',
    '--http-body-bytes-max',
    '50000',
    '--lag-bytes-max',
    '65536',
    '--log-segment-bytes',
    '16KiB',
  ],
  lag_events: ['--lag-events-max', '100'],
})) {
  test(`cut off by ${reason}, the others get everything`, async (scene) => {
    const gateway = await scene.gateway([...words, '--lag-age-max', '60s']);
    const good = await scene.stream(gateway);
    const other = await scene.stream(gateway);
    const slow = await scene.stream(gateway);
    slow.socket.pause();
    const count = await flood(gateway, good, async () => (await gateway.stats()).subscribers === 2);
    checkWhole(await good.take(count), count);
    checkWhole(await other.take(count), count);
    const text = JSON.stringify(await gateway.stats());
    assert.match(text, new RegExp(`"${reason}[a-z_]*": ?1\\b`), text);
    // What it got until then is a whole prefix, if not a whole last block: a reset may cut it
    // anywhere.
    slow.socket.resume();
    while (!slow.isEnd) await slow.changed();
    const got = slow.parser.events.slice(1);
    assert.ok(got.length < count);
    assert.deepEqual(got, good.parser.events.slice(1, 1 + got.length));
    slow.fault = null;
    const after = await gateway.publish({after: true});
    assert.equal((await good.next()).id, after.id);
  });
}

test('cut off by lag_age', async (scene) => {
  const gateway = await scene.gateway([
    '--lag-age-max',
    '500ms',
    '--lag-bytes-max',
    '1GiB',
    '--log-bytes-max',
    '2GiB',
    '--lag-events-max',
    '100000000',
  ]);
  const good = await scene.stream(gateway);
  const slow = await scene.stream(gateway);
  slow.socket.pause();
  await flood(gateway, good, async () => (await gateway.stats()).subscribers === 1);
  assert.match(JSON.stringify(await gateway.stats()), /"lag_age[a-z_]*": ?1\b/);
  slow.fault = null;
});

test('a reader that stops within its bounds and goes on misses nothing', async (scene) => {
  const gateway = await scene.gateway([
    '--lag-bytes-max',
    '48MiB',
    '--lag-age-max',
    '10m',
    '--socket-user-timeout',
    '20m',
  ]);
  const good = await scene.stream(gateway);
  const slow = await scene.stream(gateway);
  slow.socket.pause();
  const pad = 'y'.repeat(10_000);
  const count = 1600;
  for (let n = 0; n < count; n += 8) {
    await Promise.all(Array.from({length: 8}, (_, i) => gateway.publish({n: n + i, pad})));
    await good.until(`event ${n + 8}`, () => good.parser.events.length > n + 8);
  }
  assert.equal((await gateway.stats()).subscribers, 2);
  slow.socket.resume();
  assert.deepEqual(await slow.take(count), await good.take(count));
});

test('readers that reset in the middle of a send are only gone', async (scene) => {
  const gateway = await scene.gateway();
  const good = await scene.stream(gateway);
  const pad = 'z'.repeat(50_000);
  for (let round = 0; round < 30; round++) {
    const doomed = await Promise.all(Array.from({length: 4}, () => scene.stream(gateway)));
    doomed.forEach((stream) => stream.socket.pause());
    const posts = Array.from({length: 4}, (_, i) => gateway.publish({n: round * 4 + i, pad}));
    doomed.forEach((stream) => stream.socket.resetAndDestroy());
    await Promise.all(posts);
  }
  checkWhole(await good.take(120), 120);
  await until('all are gone', async () => (await gateway.stats()).subscribers === 1);
});
