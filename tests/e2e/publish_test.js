// Goal: what is accepted reaches the stream unchanged, what is not gets the envelope and nothing
// else.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {run} from './scene.js';

const test = suite('publish');
const post = (gateway, body, headers = {}, path = '/broadcast') =>
  gateway.request(path, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', ...headers},
    body,
  });

function checkRefusal(reply, status, word, what) {
  assert.equal(reply.status, status, `${what}: ${reply.status} ${reply.text}`);
  assert.equal(reply.json?.success, false, what);
  assert.equal(reply.json.code, status, what);
  assert.equal(reply.json.error, word, what);
  assert.equal(typeof reply.json.message, 'string', what);
  assert.equal(typeof reply.json.detail, 'string', what);
  assert.match(reply.headers['content-type'], /^application\/json/, what);
  assert.equal(reply.headers['access-control-allow-origin'], '*', `CORS on errors too: ${what}`);
}

test('invalid JSON gets the envelope, to the byte', async (scene) => {
  const gateway = await scene.gateway();
  const reply = await run('curl', ['-sS', gateway.url('/broadcast'), '-d', '{"hello"']);
  const start =
    '{"success":false,"code":400,"message":"cant parse request","error":"invalid_json","detail":"';
  assert.equal(reply.stdout.slice(0, start.length), start);
  assert.deepEqual(Object.keys(JSON.parse(reply.stdout)), [
    'success',
    'code',
    'message',
    'error',
    'detail',
  ]);
});

test('no JSON: refused with 400 and never sent', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const deep = (n) => '['.repeat(n) + ']'.repeat(n);
  const bad = [
    '',
    ' ',
    '{',
    '{"a":1}x',
    '{"a":1}{"b":2}',
    '[01]',
    "{'a':1}",
    '\ufeff{}',
    'nul',
    '[1,]',
    '{"a":1,}',
    'NaN',
    '[-]',
    '[1.]',
    '[.5]',
    '[+1]',
    '"\u0001"',
    '"\\x"',
    '"\\u12"',
    '[1 2]',
    '// c\n1',
    '"a\nb"',
    deep(513),
    '{"a"}',
    '{1:2}',
    '\u00a01',
    'True',
    '"unterminated',
  ];
  for (const body of bad) {
    checkRefusal(await post(gateway, body), 400, 'invalid_json', JSON.stringify(body).slice(0, 60));
  }
  const notUtf8 = [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0x80, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0x22, 0xc3, 0x22],
    [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22],
  ];
  for (const bytes of notUtf8) {
    const reply = await post(gateway, Buffer.from(bytes));
    assert.equal(reply.status, 400, reply.text);
    assert.match(reply.json.error, /^invalid_(utf8|json)$/);
    assert.equal(reply.json.message, 'cant parse request');
  }
  await gateway.publish({last: true});
  assert.equal((await stream.next()).data, '{"last":true}', 'nothing refused was sent');
});

test('all JSON of RFC 8259 is sent unchanged', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const good = [
    '{}',
    '[]',
    '0',
    '-0',
    'true',
    'null',
    '"x"',
    ' [1] ',
    '18446744073709551616',
    '1e400',
    '-1E-400',
    '123456789012345678901234567890.5',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\u{1f600}"',
    '"\\/"',
    '"\u2028"',
    '{"a":1,"a":2}',
    '\t[\t]\t',
    '['.repeat(512) + ']'.repeat(512),
    '"' + 'x'.repeat(500_000) + '"',
    '"\u007f"',
  ];
  for (const body of good) {
    const reply = await post(gateway, body);
    assert.equal(reply.status, 200, `${body.slice(0, 40)}: ${reply.text}`);
    const event = await stream.next();
    assert.deepEqual(event, {type: 'message', data: body, id: reply.json.data.id});
  }
  // Several lines: each line end is one of the stream's, as the HTML standard has it.
  await post(gateway, '{\r\n "a": 1,\n "b":\r2\n}');
  assert.equal((await stream.next()).data, '{\n "a": 1,\n "b":\n2\n}');
});

test('whatever Content-Type curl has, it is JSON', async (scene) => {
  const gateway = await scene.gateway();
  for (const type of [
    'application/x-www-form-urlencoded',
    'application/json; charset=utf-8',
    'application/json',
    'application/json;charset="UTF-8"',
    'application/ld+json',
  ]) {
    assert.equal((await post(gateway, '{}', {'Content-Type': type})).status, 200, type);
    assert.equal((await post(gateway, '{', {'Content-Type': type})).status, 400, type);
  }
  const none = await gateway.request('/broadcast', {method: 'POST', body: '{}'});
  assert.equal(none.status, 200);
});

test('text: any UTF-8, with CR, LF and CRLF as line ends', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const cases = [
    ['plain', 'plain'],
    ['a\nb', 'a\nb'],
    ['a\rb', 'a\nb'],
    ['a\r\nb', 'a\nb'],
    ['a\n\rb', 'a\n\nb'],
    ['a\r\n\r\nb', 'a\n\nb'],
    ['a\n', 'a\n'],
    ['\n', '\n'],
    ['\r\n\n\r', '\n\n\n'],
    [' lead', ' lead'],
    [': no comment', ': no comment'],
    ['data: x\n\nevent: y', 'data: x\n\nevent: y'],
    ['id: 7\rretry: 1', 'id: 7\nretry: 1'],
    ['\u{1f600}\u2028\u0085', '\u{1f600}\u2028\u0085'],
    ['{"not json', '{"not json'],
    ['tab\tend', 'tab\tend'],
  ];
  for (const type of [
    'text/plain',
    'text/plain; charset=UTF-8',
    'text/plain;charset="utf-8"',
    'application/octet-stream',
  ]) {
    for (const [body, data] of cases) {
      const reply = await post(gateway, body, {'Content-Type': type});
      assert.equal(reply.status, 200, reply.text);
      assert.deepEqual(
        await stream.next(),
        {type: 'message', data, id: reply.json.data.id},
        JSON.stringify(body),
      );
    }
  }
  const reply = await post(gateway, Buffer.from([0x61, 0xff]), {'Content-Type': 'text/plain'});
  checkRefusal(reply, 400, 'invalid_utf8', 'text that is no UTF-8');
});

test('415 for other charsets, encodings and multipart', async (scene) => {
  const gateway = await scene.gateway();
  for (const headers of [
    {'Content-Type': 'text/plain; charset=iso-8859-1'},
    {'Content-Type': 'application/json; charset=utf-16'},
    {'Content-Encoding': 'gzip'},
    {'Content-Encoding': 'br'},
    {'Content-Type': 'multipart/form-data; boundary=x'},
  ]) {
    checkRefusal(
      await post(gateway, '{}', headers),
      415,
      'unsupported_media_type',
      JSON.stringify(headers),
    );
  }
  assert.equal((await post(gateway, '{}', {'Content-Encoding': 'identity'})).status, 200);
});

test('an event type, and none that could inject a line or hides a handler', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  for (const type of [
    'score',
    'a b',
    'gol\u00e9',
    '\u{1f600}',
    'message',
    'sluice',
    'Error',
    'x: y',
    ' lead',
  ]) {
    const reply = await post(gateway, '1', {}, '/broadcast?event=' + encodeURIComponent(type));
    assert.equal(reply.status, 200, `${type}: ${reply.text}`);
    assert.equal((await stream.next()).type, type);
  }
  for (const coded of [
    'a%0Ab',
    'a%0Db',
    '%00',
    'a%0D%0Adata:%20x',
    'sluice.open',
    'sluice.',
    'sluice.mine',
    'error',
    'open',
    '%65rror',
    '%ff',
  ]) {
    const reply = await post(gateway, '1', {}, '/broadcast?event=' + coded);
    assert.equal(reply.status, 400, `${coded}: ${reply.text}`);
    assert.match(reply.json.error, /^invalid_(event_name|utf8|parameter)$/, coded);
  }
  await gateway.publish('end');
  assert.equal((await stream.next()).data, '"end"');
});

test('sizes: a body up to the bound, 413 past it', async (scene) => {
  const gateway = await scene.gateway([
    '--http-body-bytes-max',
    '4096',
    '--event-frame-bytes-max',
    '8192',
  ]);
  const stream = await scene.stream(gateway);
  const body = '"' + 'x'.repeat(4094) + '"';
  assert.equal((await post(gateway, body)).status, 200);
  assert.equal((await stream.next()).data, body);
  checkRefusal(await post(gateway, body + ' '), 413, 'body_too_large', 'a byte too many');
  // Each line end costs 7 bytes in the frame.
  const lines = await post(gateway, '\n'.repeat(4000), {'Content-Type': 'text/plain'});
  checkRefusal(lines, 413, 'frame_too_large', 'too many lines');
});

test('every subscriber on two shards sees every event once, in one order', async (scene) => {
  const gateway = await scene.gateway([], {shards: 2});
  const streams = await Promise.all(Array.from({length: 12}, () => scene.stream(gateway)));
  const publishers = 6;
  const each = 40;
  await Promise.all(
    Array.from({length: publishers}, async (_, p) => {
      for (let n = 0; n < each; n++) await gateway.publish({p, n});
    }),
  );
  const seen = await Promise.all(streams.map((stream) => stream.take(publishers * each)));
  for (const events of seen) assert.deepEqual(events, seen[0]);
  const next = new Array(publishers).fill(0);
  for (const event of seen[0]) {
    const {p, n} = JSON.parse(event.data);
    assert.equal(n, next[p]++, "a publisher's own events are in its order");
  }
  assert.equal(new Set(seen[0].map((event) => event.id)).size, publishers * each, 'ids are unique');
});
