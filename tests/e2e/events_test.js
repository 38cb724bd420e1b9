// Goal: events to topics, events in JSON, arrays and lines, each with the tools that publishers
// have: what is accepted reaches the stream once and in order, with the id that the answer told.
import assert from 'node:assert/strict';
import {Raw} from './http.js';
import {suite} from './registry.js';
import {run, until} from './scene.js';

const test = suite('events');
const kEverything = {path: '/stream?topic=**'};
const kLines = 'Content-Type: application/x-ndjson';

const post = (gateway, path, body, headers = {}) =>
  gateway.request(path, {method: 'POST', headers, body});
const parsed = (text) => text.trimEnd().split('\n').map(JSON.parse);

// Takes the chunks off a chunked body as far as they have come: {text, isEnd}.
function unchunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) break;
    const size = parseInt(bytes.subarray(at, line).toString('latin1'), 16);
    const end = line + 2 + size + 2;
    if (bytes.length < end) break;
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = end;
    if (size === 0) return {text: Buffer.concat(parts).toString('utf8'), isEnd: true};
  }
  return {text: Buffer.concat(parts).toString('utf8'), isEnd: false};
}

// A stream of lines over a raw socket: its head is read, the rest is the test's.
async function openLines(gateway, query = '') {
  const raw = new Raw(gateway.port);
  await raw.write(
    `POST /publish${query} HTTP/1.1\r\nHost: 127.0.0.1\r\n${kLines}\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  while (raw.bytes.indexOf('\r\n\r\n') < 0) await raw.changed();
  const end = raw.bytes.indexOf('\r\n\r\n');
  assert.match(raw.bytes.subarray(0, end).toString(), /^HTTP\/1\.1 200 OK\r\n/);
  raw.bytes = raw.bytes.subarray(end + 4);
  return raw;
}
const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

test('a publish to topics carries its fields to the stream', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway, kEverything);
  const reply = await post(
    gateway,
    '/publish/orders/42?topic=news&event=price&id=mine-1&retry=1500&key=ABC',
    '{"price":1}',
  );
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual(reply.json.data, {id: 'mine-1', subscribers: 1});
  assert.deepEqual(await stream.next(), {type: 'price', data: '{"price":1}', id: 'mine-1'});
  assert.ok(stream.parser.retries.includes(1500), 'retry: goes with the live event');
});

test('a bad topic is 400 that says where, for publishers and for EventSource', async (scene) => {
  const gateway = await scene.gateway();
  for (const [method, path] of [
    ['POST', '/publish/a/*'],
    ['POST', '/publish/ok?topic=a//b'],
    ['GET', '/stream/a*'],
    ['GET', '/stream?topic=**/a'],
  ]) {
    const reply = await gateway.request(path, {
      method,
      headers: {Accept: 'text/event-stream'},
      body: method === 'POST' ? '1' : undefined,
    });
    assert.equal(reply.status, 400, `${path}: ${reply.text}`);
    assert.equal(reply.json.error, 'invalid_topic');
    assert.match(reply.json.detail, /at byte [0-9]+ of "/);
    assert.equal(reply.headers['access-control-allow-origin'], '*');
  }
  assert.equal((await gateway.stats()).refusals_total.invalid_topic, 4);
});

test('one event in JSON, and an array of them with neighbouring ids', async (scene) => {
  const gateway = await scene.gateway([], {shards: 2});
  const stream = await scene.stream(gateway, kEverything);
  const one = await post(gateway, '/publish', '{"topics":["a"],"event":"e","data":"two\\nlines"}');
  assert.deepEqual(await stream.next(), {type: 'e', data: 'two\nlines', id: one.json.data.id});
  const many = await post(
    gateway,
    '/publish',
    '[{"data":{"n" : 1}},{"data":18446744073709551616,"id":"own"},{"topics":["b"],"data":"3"}]',
  );
  const {ids} = many.json.data;
  assert.equal(ids.length, 3);
  assert.deepEqual(await stream.take(3), [
    {type: 'message', data: '{"n" : 1}', id: ids[0]},
    {type: 'message', data: '18446744073709551616', id: 'own'},
    {type: 'message', data: '3', id: ids[2]},
  ]);
  const bad = await post(gateway, '/publish', '[{"data":1},{"data":2,"topic":"a"}]');
  assert.equal(bad.status, 400);
  assert.equal(bad.json.error, 'invalid_event');
  assert.match(bad.json.detail, /^event 2: there is no field "topic"/);
  await gateway.publish('end');
  assert.equal((await stream.next()).data, '"end"', 'nothing of the bad array was sent');
});

test('curl sends lines, with a length and without', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway, kEverything);
  const lines = Array.from({length: 200}, (_, n) => `{"topics":["t/${n}"],"data":{"n":${n}}}\n`);
  const file = scene.file('lines', lines.join(''));
  const url = gateway.url('/publish');
  const whole = await run('curl', ['-sS', url, '-H', kLines, '--data-binary', `@${file}`]);
  const chunked = await run('sh', ['-c', `curl -sS -X POST ${url} -H '${kLines}' -T - <${file}`]);
  const old = await run('curl', ['-sS', '-0', url, '-H', kLines, '--data-binary', `@${file}`]);
  for (const {code, stdout, stderr} of [whole, chunked, old]) {
    assert.equal(code, 0, stderr);
    const replies = parsed(stdout);
    assert.equal(replies.length, 200);
    for (const [n, event] of (await stream.take(200)).entries()) {
      assert.deepEqual(event, {type: 'message', data: `{"n":${n}}`, id: replies[n].data.id});
    }
  }
});

test('each line is answered as it comes, a bad one too, and the stream goes on', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway, kEverything);
  const raw = await openLines(gateway);
  for (let n = 0; n < 5; n++) {
    await raw.write(chunk(`{"data":${n}}\n`));
    await stream.next();
    await until('its reply', () => unchunk(raw.bytes).text.split('\n').length === 2 * n + 2);
    await raw.write(chunk('nonsense\n'));
    await until('the refusal', () => unchunk(raw.bytes).text.split('\n').length === 2 * n + 3);
  }
  await raw.write('0\r\n\r\n');
  await until('the end', () => unchunk(raw.bytes).isEnd);
  const replies = parsed(unchunk(raw.bytes).text);
  assert.deepEqual(
    replies.map((reply) => reply.line ?? reply.data.id.split('-')[1]),
    ['1', 2, '2', 4, '3', 6, '4', 8, '5', 10],
  );
  raw.close();
});

test('a full ring pauses the lines and refuses none', async (scene) => {
  const gateway = await scene.gateway(['--ring-events-max', '2'], {shards: 2});
  const stream = await scene.stream(gateway, kEverything);
  const count = 1_000;
  const body = Array.from({length: count}, (_, n) => `{"data":${n}}\n`).join('');
  const reply = await run('curl', [
    '-sS',
    gateway.url('/publish'),
    '-H',
    kLines,
    '--data-binary',
    `@${scene.file('lines', body)}`,
  ]);
  const replies = parsed(reply.stdout);
  assert.equal(replies.length, count);
  assert.ok(replies.every((each) => each.success));
  const events = await stream.take(count);
  assert.deepEqual(
    events.map((event) => Number(event.data)),
    Array.from({length: count}, (_, n) => n),
  );
  assert.equal((await gateway.stats()).refusals_total.ring_full, 0);
});

test('replies that nobody reads are summed up, and no line is lost', async (scene) => {
  const gateway = await scene.gateway();
  const raw = await openLines(gateway);
  raw.socket.pause();
  const block = chunk('{"data":1}\n'.repeat(2_000));
  let sent = 0;
  const summed = async () => (await gateway.stats()).publish.line_replies_summed_total;
  while ((await summed()) === 0 && sent < 4_000_000) {
    for (let i = 0; i < 10; i++) await raw.write(block);
    sent += 20_000;
  }
  await raw.write(chunk('bad\n') + '0\r\n\r\n');
  raw.socket.resume();
  await until('the end', () => unchunk(raw.bytes).isEnd, () => !raw.isEnd);
  const replies = parsed(unchunk(raw.bytes).text);
  const sums = replies.filter((reply) => reply.data?.accepted !== undefined);
  assert.ok(sums.length > 0, 'some were summed up');
  const own = replies.filter((reply) => reply.success && reply.data.accepted === undefined).length;
  const accepted = sums.reduce((sum, reply) => sum + reply.data.accepted, own);
  assert.equal(accepted, sent);
  const stats = await gateway.stats();
  assert.equal(stats.events_total, sent);
  assert.equal(stats.refusals_total.invalid_json, 1);
  raw.close();
});

test('what is sent again with its key is published once', async (scene) => {
  const gateway = await scene.gateway([], {shards: 2});
  const stream = await scene.stream(gateway, kEverything);
  const key = {'Idempotency-Key': '"8e03978e-40d5"'};
  const first = await post(gateway, '/publish/a', '{"n":1}', key);
  for (let i = 0; i < 8; i++) {
    const again = await post(gateway, '/publish/a', '{"n":1}', key);
    assert.equal(again.status, 200);
    assert.equal(again.text, first.text);
    assert.equal(again.headers['idempotency-replayed'], 'true');
  }
  assert.equal(first.headers['idempotency-replayed'], undefined);
  for (const [path, body] of [
    ['/publish/a', '{"n":2}'],
    ['/publish/b', '{"n":1}'],
  ]) {
    const other = await post(gateway, path, body, key);
    assert.equal(other.status, 422);
    assert.equal(other.json.error, 'idempotency_key_reused');
  }
  const byId = await post(gateway, '/publish?idempotent=id', '{"id":"x","data":1}');
  const again = await post(gateway, '/publish?idempotent=id', '{"id":"x","data":1}');
  assert.equal(again.text, byId.text);
  const lines = await openLines(gateway, '?idempotent=id');
  await lines.write(chunk('{"id":"x","data":1}\n{"id":"y","data":2}\n') + '0\r\n\r\n');
  await until('the end', () => unchunk(lines.bytes).isEnd);
  const [repeated, fresh] = parsed(unchunk(lines.bytes).text);
  assert.equal(repeated.replayed, true);
  assert.equal(fresh.replayed, undefined);
  lines.close();
  await gateway.publish('end');
  assert.deepEqual(
    (await stream.take(4)).map((event) => event.data),
    ['{"n":1}', '1', '2', '"end"'],
  );
  assert.equal((await gateway.stats()).publish.replays_total, 10);
});

test('a stream of lines that is open does not hold up a stop', async (scene) => {
  const gateway = await scene.gateway(['--stop-timeout', '20s']);
  const raw = await openLines(gateway);
  await raw.write(chunk('{"data":1}\n{"data":'));
  await until('its reply', () => unchunk(raw.bytes).text.includes('\n'));
  await gateway.stop();
  await raw.ended();
  const replies = parsed(unchunk(raw.bytes).text);
  assert.equal(replies.length, 2);
  assert.equal(replies[0].success, true);
  assert.equal(replies[1].error, 'draining');
  assert.equal(unchunk(raw.bytes).isEnd, true);
});

test('what the README says of publishing works as it stands there', async (scene) => {
  const gateway = await scene.gateway();
  const watch = await scene.curlStream([gateway.url('/stream?topic=orders/*&topic=news')]);
  const url = gateway.url('/publish');
  for (const words of [
    [`${url}/orders/42`, '-d', '{"state":"paid"}'],
    [url, '-H', 'Content-Type: application/json', '-d', '{"topics":["news"],"data":"text"}'],
    [url, '-d', '[{"topics":["orders/1"],"data":1},{"topics":["orders/2"],"data":2}]'],
    ['-T', scene.file('lines', '{"topics":["news"],"data":1}\n'), '-X', 'POST', '-H', kLines, url],
  ]) {
    const reply = await run('curl', ['-sS', ...words]);
    assert.equal(JSON.parse(reply.stdout).success, true, reply.stdout + reply.stderr);
  }
  await until(
    'curl sees all five',
    () => watch.stdout.split('\ndata: ').length === 1 + 1 + 5,
    () => !watch.exit,
  );
});
