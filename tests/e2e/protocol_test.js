// Goal: HTTP/1.x to the letter, against bytes that no well-behaved program sends. Raw sockets.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {run} from './scene.js';
import {exchange, Raw} from './http.js';

const test = suite('protocol');
const kHost = 'Host: 127.0.0.1\r\n';
const get = (path, more = '') => `GET ${path} HTTP/1.1\r\n${kHost}${more}\r\n`;
const post = (body, more = '') =>
  `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`;

function checkFault(reply, status, what) {
  assert.ok(reply, `${what}: no reply`);
  assert.equal(reply.status, status, `${what}: ${reply.status} ${reply.text}`);
  const json = JSON.parse(reply.text);
  assert.equal(json.success, false, what);
  assert.equal(json.code, status, what);
  assert.match(json.error, /^[a-z0-9_]+$/, what);
  assert.equal(reply.headers['access-control-allow-origin'], '*', what);
}

test('routes: 404, 405 with Allow, alive, ready', async (scene) => {
  const gateway = await scene.gateway();
  for (const path of [
    '/nothing',
    '/stream/',
    '/broadcast/x',
    '/../etc/passwd',
    '//',
    '/%2e%2e/',
    '/app.js/',
    '/STREAM',
  ]) {
    checkFault(await exchange(gateway.port, get(path)), 404, path);
  }
  for (const [method, path, allow] of [
    ['GET', '/broadcast', 'POST'],
    ['PUT', '/broadcast', 'POST'],
    ['DELETE', '/stream', 'GET'],
    ['PATCH', '/stats', 'GET'],
  ]) {
    const reply = await exchange(
      gateway.port,
      `${method} ${path} HTTP/1.1\r\n${kHost}Content-Length: 0\r\n\r\n`,
    );
    checkFault(reply, 405, `${method} ${path}`);
    assert.ok(
      reply.headers.allow.split(/, */).includes(allow),
      `${path}: Allow: ${reply.headers.allow}`,
    );
  }
  for (const path of ['/healthz', '/readyz', '/healthz?x=1']) {
    const reply = await exchange(gateway.port, get(path));
    assert.equal(reply.status, 200, path);
    assert.equal(JSON.parse(reply.text).success, true, path);
  }
  // The absolute form, which a proxy may send.
  assert.equal(
    (await exchange(gateway.port, get(`http://127.0.0.1:${gateway.port}/healthz`))).status,
    200,
  );
});

test('HEAD has the head of GET and no body', async (scene) => {
  const gateway = await scene.gateway();
  for (const path of ['/', '/app.js', '/healthz', '/stats', '/nothing']) {
    const full = await exchange(gateway.port, get(path));
    const raw = new Raw(gateway.port);
    await raw.write(
      `HEAD ${path} HTTP/1.1\r\n${kHost}\r\n` + get('/healthz', 'Connection: close\r\n'),
    );
    const head = await raw.reply({isHead: true});
    assert.equal(head.status, full.status, path);
    assert.equal(head.headers['content-type'], full.headers['content-type'], path);
    if (path !== '/stats')
      assert.equal(head.headers['content-length'], full.headers['content-length'], path);
    assert.equal((await raw.reply()).status, 200, `${path}: what follows a HEAD is the next reply`);
    await raw.ended();
    assert.equal(raw.bytes.length, 0);
  }
  const raw = new Raw(gateway.port);
  await raw.write(`HEAD /stream HTTP/1.1\r\n${kHost}Accept: text/event-stream\r\n\r\n`);
  const head = await raw.reply({isHead: true});
  assert.equal(head.status, 200);
  assert.match(head.headers['content-type'], /^text\/event-stream/);
  assert.equal(raw.bytes.length, 0);
  raw.close();
  assert.equal((await gateway.stats()).subscribers, 0, 'HEAD is no subscriber');
});

test('OPTIONS', async (scene) => {
  const gateway = await scene.gateway();
  for (const path of ['/stream', '/broadcast', '/api/v1/sso/stream', '/stats']) {
    const reply = await exchange(
      gateway.port,
      `OPTIONS ${path} HTTP/1.1\r\n${kHost}Origin: http://a.example\r\n` +
        'Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: last-event-id\r\n\r\n',
    );
    assert.ok([200, 204].includes(reply.status), path);
    assert.equal(reply.headers['access-control-allow-origin'], '*');
    for (const name of [
      'Last-Event-ID',
      'Authorization',
      'Content-Type',
      'Cache-Control',
      'Idempotency-Key',
    ]) {
      assert.match(reply.headers['access-control-allow-headers'], new RegExp(name, 'i'));
    }
  }
});

test('ambiguous requests: 400 and closed, nothing behind them runs', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const bad = {
    'length and chunked': `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'two lengths': `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 2\r\nContent-Length: 3\r\n\r\n11`,
    'two equal lengths': `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 2\r\nContent-Length: 2\r\n\r\n11`,
    'length with a sign': `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: +2\r\n\r\n11`,
    'length in hex': `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 0x2\r\n\r\n11`,
    'length past 64 bits': `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 18446744073709551618\r\n\r\n11`,
    'bare CR in a header': `GET /healthz HTTP/1.1\r\n${kHost}X-A: a\rX-B: b\r\n\r\n`,
    'no Host': 'GET /healthz HTTP/1.1\r\n\r\n',
    'two Hosts': `GET /healthz HTTP/1.1\r\n${kHost}${kHost}\r\n`,
    'header without colon': `GET /healthz HTTP/1.1\r\n${kHost}X-Nothing\r\n\r\n`,
    'space before the colon': `GET /healthz HTTP/1.1\r\n${kHost}X-A : b\r\n\r\n`,
    'folded header': `GET /healthz HTTP/1.1\r\n${kHost}X-A: b\r\n  c\r\n\r\n`,
    'NUL in a header': `GET /healthz HTTP/1.1\r\n${kHost}X-A: b\0c\r\n\r\n`,
    'chunk size that is none': `POST /broadcast HTTP/1.1\r\n${kHost}Transfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n0\r\n\r\n`,
    'another transfer coding': `POST /broadcast HTTP/1.1\r\n${kHost}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'no HTTP at all': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
  };
  for (const [what, bytes] of Object.entries(bad)) {
    const raw = new Raw(gateway.port);
    await raw.write(bytes + post('"smuggled"'));
    const reply = await raw.reply();
    assert.ok(reply, `${what}: no reply`);
    if (what === 'another transfer coding')
      assert.ok([400, 501].includes(reply.status), `${what}: ${reply.status}`);
    else if (what === 'length past 64 bits')
      assert.ok([400, 413].includes(reply.status), `${what}: ${reply.status}`);
    else assert.equal(reply.status, 400, `${what}: ${reply.status} ${reply.text}`);
    assert.equal(await raw.reply(), null, `${what}: one reply, then the end`);
    raw.close();
  }
  await gateway.publish('end');
  assert.equal((await stream.next()).data, '"end"');
});

test('411, 413, 414, 417, 431, 505', async (scene) => {
  const gateway = await scene.gateway([
    '--http-body-bytes-max',
    '65536',
    '--event-frame-bytes-max',
    '600000',
  ]);
  const cases = [
    [411, `POST /broadcast HTTP/1.1\r\n${kHost}\r\n`],
    [413, `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 65537\r\n\r\n`],
    [413, `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 99999999999\r\n\r\n`],
    [
      413,
      `POST /broadcast HTTP/1.1\r\n${kHost}Transfer-Encoding: chunked\r\n\r\n10001\r\n${'1'.repeat(0x10001)}\r\n0\r\n\r\n`,
    ],
    [414, get('/' + 'x'.repeat(9000))],
    [417, `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 1\r\nExpect: 200-maybe\r\n\r\n1`],
    [431, get('/healthz', `X-Long: ${'y'.repeat(17000)}\r\n`)],
    [431, get('/healthz', Array.from({length: 2000}, (_, i) => `X-${i}: ${i}\r\n`).join(''))],
    [505, `GET /healthz HTTP/2.0\r\n${kHost}\r\n`],
    [505, `GET /healthz HTTP/3.7\r\n${kHost}\r\n`],
  ];
  for (const [status, bytes] of cases) {
    checkFault(
      await exchange(gateway.port, bytes, {ends: status === 413 || status === 431}),
      status,
      bytes.slice(0, 60),
    );
  }
  // A line and headers that never end are cut off at the bound as well.
  const raw = new Raw(gateway.port);
  await raw.write('GET /' + 'x'.repeat(20000));
  assert.ok([414, 431].includes((await raw.reply())?.status));
  await raw.ended();
});

test('Expect: 100-continue, and 413 at once', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const raw = new Raw(gateway.port);
  await raw.write(
    `POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n`,
  );
  const go = await raw.reply();
  assert.equal(go.status, 100);
  await raw.write('"ex"');
  assert.equal((await raw.reply()).status, 200);
  assert.equal((await stream.next()).data, '"ex"');
  // Refusals that need no body come instead of the 100.
  for (const [status, headers] of [
    [413, 'Content-Length: 999999999\r\n'],
    [415, 'Content-Length: 2\r\nContent-Encoding: gzip\r\n'],
    [403, 'Content-Length: 2\r\nX-Forwarded-For: 192.0.2.1\r\n'],
  ]) {
    const refused = await exchange(
      gateway.port,
      `POST /broadcast HTTP/1.1\r\n${kHost}${headers}Expect: 100-continue\r\n\r\n`,
    );
    checkFault(refused, status, headers);
  }
  raw.close();
  const big = scene.file('big.json', '"' + 'x'.repeat(900_000) + '"');
  const reply = await run('curl', [
    '-sS',
    '-H',
    'Expect: 100-continue',
    gateway.url('/broadcast'),
    '--data-binary',
    `@${big}`,
  ]);
  assert.equal(JSON.parse(reply.stdout).success, true);
  assert.equal((await stream.next()).data.length, 900_002);
});

test('chunked bodies, in any split', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const request =
    `POST /broadcast HTTP/1.1\r\n${kHost}Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n` +
    '3\r\n{"a\r\n4;ext=1\r\n":"b\r\nA\r\ncdefghijk"\r\n1\r\n}\r\n0\r\nX-T: 1\r\n\r\n';
  const raw = new Raw(gateway.port);
  for (const byte of Buffer.from(request)) await raw.write(Buffer.from([byte]));
  assert.equal((await raw.reply()).status, 200);
  assert.equal((await stream.next()).data, '{"a":"bcdefghijk"}');
  await raw.write(request + request);
  assert.equal((await raw.reply()).status, 200);
  assert.equal((await raw.reply()).status, 200);
  raw.close();
  assert.equal((await stream.take(2)).length, 2);
  // But what is no body has a bound.
  for (const endless of [
    `1;${'x'.repeat(100_000)}\r\n1\r\n0\r\n\r\n`,
    `1\r\n1\r\n0\r\n${'X: y\r\n'.repeat(20_000)}\r\n`,
    `${'0'.repeat(100_000)}1\r\n1\r\n0\r\n\r\n`,
  ]) {
    const reply = await exchange(
      gateway.port,
      `POST /broadcast HTTP/1.1\r\n${kHost}Transfer-Encoding: chunked\r\n\r\n${endless}`,
    );
    assert.ok([400, 413, 431].includes(reply.status), `${endless.slice(0, 10)}: ${reply.status}`);
  }
});

// RFC 9112, section 3.2: a server must answer 400 to a Host that is no host.
test('a Host that is none is 400', async (scene) => {
  const gateway = await scene.gateway();
  for (const host of ['a b', 'a,b', 'a/b', 'a@b', '[::1', 'a:b:c', 'a:port']) {
    checkFault(
      await exchange(gateway.port, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
      400,
      host,
    );
  }
});

test('a chunked body in small pieces', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  // A publisher that writes in small pieces: its sizes are no extensions.
  const small = await exchange(
    gateway.port,
    `POST /broadcast HTTP/1.1\r\n${kHost}Transfer-Encoding: chunked\r\n\r\n` +
      '1\r\n"\r\n' +
      `32\r\n${'p'.repeat(50)}\r\n`.repeat(18_000) +
      '1\r\n"\r\n0\r\n\r\n',
  );
  assert.equal(small.status, 200, small.text);
  assert.equal((await stream.next()).data.length, 900_002);
});

test('pipelining: in order, and nothing after an answer that closes', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const raw = new Raw(gateway.port);
  const count = 200;
  let bytes = '';
  for (let n = 0; n < count; n++)
    bytes += post(`{"n":${n}}`) + (n % 10 === 0 ? get('/healthz') : '');
  await raw.write(bytes);
  for (let n = 0; n < count; n++) {
    const reply = await raw.reply();
    assert.equal(reply.status, 200);
    const event = await stream.next();
    assert.equal(event.data, `{"n":${n}}`);
    assert.equal(event.id, reply.json.data.id);
    if (n % 10 === 0) assert.equal((await raw.reply()).json.data?.id, undefined);
  }
  await raw.write(post('"last"', 'Connection: close\r\n') + post('"never"'));
  assert.equal((await raw.reply()).status, 200);
  assert.equal(await raw.reply(), null);
  raw.close();
  await gateway.publish('end');
  assert.deepEqual(
    (await stream.take(2)).map((event) => event.data),
    ['"last"', '"end"'],
  );
});

test('a pipelined request behind GET /stream never runs', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway);
  const raw = new Raw(gateway.port);
  await raw.write(get('/stream', 'Accept: text/event-stream\r\n') + post('"behind"'));
  while (!raw.bytes.includes('event: sluice.open')) await raw.changed();
  await gateway.publish('end');
  assert.equal((await stream.next()).data, '"end"');
  raw.close();
});

test('HTTP/1.0', async (scene) => {
  const gateway = await scene.gateway();
  const raw = new Raw(gateway.port);
  await raw.write('GET /healthz HTTP/1.0\r\n\r\n'); // needs no Host, and is closed
  assert.equal((await raw.reply()).status, 200);
  await raw.ended();
  const stream = await scene.stream(gateway, {version: '1.0'});
  const reply = await exchange(
    gateway.port,
    'POST /broadcast HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\n"0"',
  );
  assert.equal(reply.status, 200);
  assert.equal((await stream.next()).data, '"0"');
});

test('dribbled requests are cut off while others are served', async (scene) => {
  const gateway = await scene.gateway([
    '--http-request-timeout',
    '400ms',
    '--http-idle-timeout',
    '600ms',
  ]);
  const stream = await scene.stream(gateway);
  const kinds = {
    head: ['GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ', 'z'],
    body: [`POST /broadcast HTTP/1.1\r\n${kHost}Content-Length: 100000\r\n\r\n"`, 'z'],
    chunks: [
      `POST /broadcast HTTP/1.1\r\n${kHost}Transfer-Encoding: chunked\r\n\r\n`,
      '1\r\n1\r\n',
    ],
  };
  await Promise.all(
    Object.entries(kinds).map(async ([what, [start, drop]]) => {
      const raw = new Raw(gateway.port);
      await raw.write(start);
      while (!raw.isEnd) {
        // a drop each time something else was served
        await raw.write(drop);
        await gateway.publish({served: what});
      }
      const reply = raw.isReset && raw.bytes.length === 0 ? null : await raw.reply();
      if (reply) assert.equal(reply.status, 408, what);
      raw.close();
    }),
  );
  // Between requests it is closed without a reply.
  const idle = new Raw(gateway.port);
  await idle.write(get('/healthz'));
  assert.equal((await idle.reply()).status, 200);
  await idle.ended();
  assert.equal(idle.bytes.length, 0);
  const mute = new Raw(gateway.port);
  await mute.ended();
  assert.equal(mute.bytes.length, 0);
  stream.check();
});

test('the page and its files', async (scene) => {
  const gateway = await scene.gateway();
  const kinds = {
    '/': /^text\/html/,
    '/app.js': /javascript/,
    '/event_row.js': /javascript/,
    '/copy_lines.js': /javascript/,
    '/sluice.js': /^text\/javascript; charset=utf-8$/,
    '/app.css': /^text\/css/,
    '/favicon.svg': /^image\/svg\+xml/,
  };
  for (const [path, kind] of Object.entries(kinds)) {
    const reply = await exchange(gateway.port, get(path));
    assert.equal(reply.status, 200, path);
    assert.match(reply.headers['content-type'], kind, path);
    assert.match(reply.headers['content-security-policy'] ?? '', /default-src 'self'/, path);
    assert.equal(reply.headers['x-content-type-options'], 'nosniff', path);
    assert.ok(reply.text.length > 100, path);
  }
});
