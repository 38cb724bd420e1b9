// Goal: the bytes of a stream, from its head to its end. All streams of all tests are read by the
// strict parser of stream.js; here stand the parts that only happen on purpose.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {until} from './scene.js';
import {Stream} from './stream.js';

const test = suite('stream');

test('opens with exactly these bytes', async (scene) => {
  const gateway = await scene.gateway();
  for (const path of ['/stream', '/api/v1/sso/stream', '/stream?x=1']) {
    const stream = await scene.stream(gateway, {path});
    const text = stream.raw.toString('latin1');
    const match = new RegExp(
      '^HTTP/1\\.1 200 OK\\r\\n(?:[A-Za-z-]+: [^\\r\\n]+\\r\\n)+\\r\\n:ok\\nretry: ([0-9]+)\\n' +
        'event: sluice\\.open\\ndata: (\\{"id":"[^"]+"\\})\\nid: ([^\\n]+)\\n\\n$',
    ).exec(text);
    assert.ok(match, text);
    assert.ok(Number(match[1]) >= 2000 && Number(match[1]) <= 4000, `retry: ${match[1]}`);
    assert.equal(JSON.parse(match[2]).id, match[3]);
    assert.match(stream.headers['content-type'], /^text\/event-stream(;\s*charset=utf-8)?$/i);
    assert.equal(stream.headers['cache-control'], 'no-cache, no-store, no-transform');
    assert.equal(stream.headers['x-accel-buffering'], 'no');
    assert.equal(stream.headers.connection.toLowerCase(), 'close');
    assert.equal(stream.headers['access-control-allow-origin'], '*');
    assert.equal(stream.headers['content-length'], undefined);
    assert.ok(
      Math.abs(Date.parse(stream.headers.date) - Date.now()) < 120_000,
      stream.headers.date,
    );
  }
});

test('retry is spread', {engines: 'one'}, async (scene) => {
  const gateway = await scene.gateway();
  const streams = await Promise.all(Array.from({length: 16}, () => scene.stream(gateway)));
  assert.ok(new Set(streams.map((stream) => stream.parser.retries[0])).size > 1);
});

test('sluice.open names the newest event before the stream', async (scene) => {
  const gateway = await scene.gateway();
  const {id} = await gateway.publish({n: 1});
  // Once an older stream has it, the shard has drained it.
  const older = await scene.stream(gateway);
  const second = await gateway.publish({n: 2});
  await older.next();
  const stream = await scene.stream(gateway);
  assert.equal(JSON.parse(stream.open.data).id, second.id);
  assert.notEqual(second.id, id);
  const third = await gateway.publish({n: 3});
  assert.equal((await stream.next()).id, third.id);
});

test('a restart gives no id out twice, and takes a reader that holds an old one', async (scene) => {
  let gateway = await scene.gateway();
  const before = [];
  for (let n = 0; n < 5; n++) before.push((await gateway.publish({n})).id);
  await gateway.stop();
  gateway = await scene.gateway([], {port: gateway.port});
  for (const id of [before.at(-1), 'not-ours', '\u00e9', 'x'.repeat(1000), '']) {
    const stream = await scene.stream(gateway, {headers: {'Last-Event-ID': id}});
    const {id: next} = await gateway.publish({id});
    if (id !== '') {
      // It is told that nobody knows its place, and gets all that there is.
      const gap = await stream.next();
      assert.equal(gap.type, 'sluice.gap');
      assert.equal(JSON.parse(gap.data).reason, 'unknown');
      for (const held of before.slice(5)) assert.equal((await stream.next()).id, held);
    }
    assert.equal((await stream.next()).id, next);
    assert.ok(!before.includes(next));
    before.push(next);
  }
});

test('an event is these bytes', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const opening = stream.raw.length;
  const a = await gateway.publish({n: 1});
  await stream.next();
  const b = await gateway.publish({text: 'one\r\ntwo'}, {event: 'note'});
  await stream.next();
  assert.equal(
    stream.raw.subarray(opening).toString(),
    `data: {"n":1}\nid: ${a.id}\n\nevent: note\ndata: one\ndata: two\nid: ${b.id}\n\n`,
  );
});

test('a heartbeat is the line ":" and nothing else', async (scene) => {
  const gateway = await scene.gateway(['--stream-heartbeat', '100ms']);
  const stream = await scene.stream(gateway);
  const opening = stream.raw.length;
  await stream.heartbeats(3);
  const text = stream.raw.subarray(opening).toString();
  assert.match(text, /^(:\n){3,}$/);
  const {id} = await gateway.publish({n: 1});
  assert.deepEqual(await stream.next(), {type: 'message', data: '{"n":1}', id});
  await stream.heartbeats(2);
});

test('--max-stream-age ends a stream after a whole block, with its own retry', async (scene) => {
  const gateway = await scene.gateway(['--max-stream-age', '300ms']);
  const stream = await scene.stream(gateway);
  await gateway.publish({n: 1});
  await stream.ended();
  assert.ok(!stream.isReset);
  assert.equal(stream.parser.retries.length, 2, 'a goodbye with its retry');
  assert.equal((await gateway.stats()).subscribers, 0);
  assert.match(JSON.stringify(await gateway.stats()), /"stream_age[a-z_]*": ?1\b/);
});

test('full: a 200 that says when to come back; 503 for no EventSource', async (scene) => {
  const gateway = await scene.gateway(['--stream-subscribers-max', '1']);
  const first = await scene.stream(gateway);
  const refused = new Stream({port: gateway.port});
  scene.streams.push(refused);
  await refused.ended();
  assert.equal(refused.status, 200);
  assert.match(refused.headers['content-type'], /^text\/event-stream/);
  assert.equal(refused.headers['access-control-allow-origin'], '*');
  assert.equal(refused.parser.events.length, 1);
  assert.equal(refused.parser.events[0].type, 'sluice.error');
  const error = JSON.parse(refused.parser.events[0].data);
  assert.equal(error.error, 'subscribers_full');
  assert.equal(typeof error.message, 'string');
  assert.equal(refused.parser.retries.length, 1);
  const plain = await gateway.request('/stream', {headers: {Accept: 'application/json'}});
  assert.equal(plain.status, 503);
  assert.equal(plain.json.error, 'subscribers_full');
  assert.match(plain.headers['retry-after'], /^[0-9]+$/);
  assert.equal((await gateway.request('/readyz')).status, 503);
  assert.equal((await gateway.request('/healthz')).status, 200);
  assert.match(JSON.stringify(await gateway.stats()), /"subscribers_full[a-z_]*": ?[2-9]/);
  await gateway.publish({n: 1});
  assert.equal((await first.next()).data, '{"n":1}');
  first.close();
  await until('the slot is free', async () => (await gateway.request('/readyz')).status === 200);
  const next = await scene.stream(gateway);
  await gateway.publish({n: 2});
  assert.equal((await next.next()).data, '{"n":2}');
});

test('stats: schema 1, subscribers a number at the top', async (scene) => {
  const gateway = await scene.gateway([], {shards: 2});
  const streams = await Promise.all(Array.from({length: 5}, () => scene.stream(gateway)));
  for (let n = 0; n < 3; n++) await gateway.publish({n});
  await Promise.all(streams.map((stream) => stream.take(3)));
  const stats = await until('deliveries are counted', async () => {
    const now = await gateway.stats();
    return now.deliveries_total >= 15 && now;
  });
  assert.equal(stats.schema, 1);
  assert.equal(stats.subscribers, 5);
  assert.equal(stats.deliveries_total, 15);
  assert.equal(stats.shards.length, 2);
  assert.equal(
    JSON.stringify(stats.engine).includes(scene.engine),
    true,
    'the forced engine really runs',
  );
  const text = JSON.stringify(stats);
  for (const word of [
    'uptime',
    'sends_total',
    'refus',
    'disconnect',
    'lag',
    'ring',
    'p99',
    'bytes',
  ]) {
    assert.ok(text.includes(word), `${word} in ${text}`);
  }
  const pretty = await gateway.request('/stats?pretty');
  assert.ok(pretty.text.split('\n').length > 10);
  assert.deepEqual(Object.keys(pretty.json), Object.keys(stats));
  streams[0].close();
  await until('the hang-up is counted', async () => (await gateway.stats()).subscribers === 4);
});

test('many subscribers come and go while events flow', async (scene) => {
  const gateway = await scene.gateway([], {shards: 2});
  const steady = await scene.stream(gateway);
  const rounds = 60;
  for (let n = 0; n < rounds; n++) {
    const brief = await scene.stream(gateway);
    await gateway.publish({n});
    assert.equal((await brief.next()).data, `{"n":${n}}`);
    assert.equal((await steady.next()).data, `{"n":${n}}`);
    if (n % 2) brief.socket.resetAndDestroy();
    else brief.close();
  }
  await until('only one is left', async () => (await gateway.stats()).subscribers === 1);
});
