// Goal: nobody publishes who may not. A browser on this machine that shows a foreign page counts as
// foreign: it sends its Origin, or after DNS rebinding a foreign Host.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {freePort} from './scene.js';
import {exchange, request} from './http.js';

const test = suite('keys');
const post = (gateway, headers = {}) =>
  gateway.request('/broadcast', {
    method: 'POST',
    headers: {'Content-Type': 'application/json', ...headers},
    body: '{"k":1}',
  });
const bearer = (key) => ({Authorization: `Bearer ${key}`});

test('with a key file only a bearer of a key publishes', async (scene) => {
  const file = scene.file('keys', 'first-key-0123456789abcdef\nsecond-key-0123456789abcdef\n');
  const gateway = await scene.gateway(['--publish-key-file', file]);
  const stream = await scene.stream(gateway); // subscribing needs none
  const missing = await post(gateway);
  assert.equal(missing.status, 401);
  assert.equal(missing.json.error, 'key_missing');
  assert.match(missing.headers['www-authenticate'] ?? '', /^Bearer/);
  for (const headers of [
    bearer('wrong'),
    bearer(''),
    bearer('first-key-0123456789abcde'),
    bearer('first-key-0123456789abcdef0'),
    bearer('first-key-0123456789abcdef\tx'),
    {Authorization: 'Basic Zmlyc3Q6a2V5'},
    {Authorization: 'first-key-0123456789abcdef'},
  ]) {
    const reply = await post(gateway, headers);
    assert.equal(reply.status, 401, `${JSON.stringify(headers)}: ${reply.text}`);
    assert.match(reply.json.error, /^key_(wrong|missing)$/);
  }
  for (const headers of [
    bearer('first-key-0123456789abcdef'),
    bearer('second-key-0123456789abcdef'),
    {Authorization: 'bearer second-key-0123456789abcdef'},
    {
      ...bearer('first-key-0123456789abcdef'),
      'X-Forwarded-For': '192.0.2.1',
      Origin: 'https://example.org',
      Host: 'example.org',
    },
  ]) {
    assert.equal((await post(gateway, headers)).status, 200, JSON.stringify(headers));
  }
  assert.equal((await stream.take(4)).length, 4);
  assert.equal((await gateway.request('/stats')).status, 401);
  assert.equal((await gateway.request('/stats', {headers: bearer('wrong')})).status, 401);
  assert.equal(
    (await gateway.request('/stats', {headers: bearer('second-key-0123456789abcdef')})).status,
    200,
  );
  assert.equal((await gateway.request('/healthz')).status, 200);
});

test('without a key file only this machine publishes', async (scene) => {
  const gateway = await scene.gateway();
  const own = `127.0.0.1:${gateway.port}`;
  for (const headers of [
    {},
    {Host: own},
    {Host: `localhost:${gateway.port}`},
    {Host: `[::1]:${gateway.port}`},
    {Host: 'localhost'},
    {Origin: `http://${own}`},
    {Origin: `http://localhost:${gateway.port}`, Host: `localhost:${gateway.port}`},
  ]) {
    const reply = await post(gateway, headers);
    assert.equal(reply.status, 200, `${JSON.stringify(headers)}: ${reply.text}`);
  }
  for (const headers of [
    {'X-Forwarded-For': '127.0.0.1'},
    {'X-Forwarded-Host': 'localhost'},
    {'X-Forwarded-Proto': 'http'},
    {Forwarded: 'for=127.0.0.1'},
    {'X-Real-IP': '127.0.0.1'},
    {Via: '1.1 proxy'},
    {Origin: 'https://example.org'},
    {Origin: 'null'},
    {Origin: 'http://127.0.0.1:1'},
    {Origin: `https://${own}`},
    {Host: 'example.org'},
    {Host: `example.org:${gateway.port}`},
    {Host: `127.0.0.1.example.org:${gateway.port}`},
    {Host: `localhost.example.org`},
    {Host: '192.0.2.1'},
    {Host: 'example.org', Origin: 'http://example.org'},
  ]) {
    for (const call of [post(gateway, headers), gateway.request('/stats', {headers})]) {
      const reply = await call;
      assert.equal(reply.status, 403, `${JSON.stringify(headers)}: ${reply.status} ${reply.text}`);
      assert.equal(reply.json.error, 'forbidden');
      assert.match(
        reply.json.detail + reply.json.message,
        /publish-key-file/,
        'the way out, in words',
      );
    }
  }
  // Streams are for everyone.
  assert.equal(
    (
      await scene.stream(gateway, {
        headers: {
          Host: 'example.org',
          Origin: 'https://example.org',
          'X-Forwarded-For': '192.0.2.1',
        },
      })
    ).status,
    200,
  );
});

test('a preflight from anywhere is answered, the publish behind it is not', async (scene) => {
  const gateway = await scene.gateway();
  const reply = await exchange(
    gateway.port,
    `OPTIONS /broadcast HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n` +
      'Origin: https://example.org\r\nAccess-Control-Request-Method: POST\r\n' +
      'Access-Control-Request-Headers: authorization, content-type\r\n\r\n',
  );
  assert.ok(reply.status === 204 || reply.status === 200);
  assert.equal(reply.headers['access-control-allow-origin'], '*');
  const allowed = reply.headers['access-control-allow-headers'].toLowerCase().split(/, */);
  for (const name of [
    'last-event-id',
    'authorization',
    'content-type',
    'cache-control',
    'idempotency-key',
  ]) {
    assert.ok(allowed.includes(name), `${name} in ${allowed}`);
  }
  assert.match(reply.headers['access-control-allow-methods'], /POST/);
  assert.equal((await post(gateway, {Origin: 'https://example.org'})).status, 403);
});

test('--keyless-publish off forbids it', async (scene) => {
  const gateway = await scene.gateway(['--keyless-publish', 'off']);
  const reply = await post(gateway);
  assert.equal(reply.status, 403, reply.text);
  assert.match(reply.json.detail + reply.json.message, /publish-key-file/);
});

test('--admin-listen has the stats without a key', async (scene) => {
  const port = await freePort();
  const file = scene.file('keys', 'only-key-0123456789abcdef\n');
  const gateway = await scene.gateway([
    '--publish-key-file',
    file,
    '--admin-listen',
    `127.0.0.1:${port}`,
  ]);
  assert.equal((await gateway.request('/stats')).status, 401);
  const reply = await request({port, path: '/stats'});
  assert.equal(reply.status, 200);
  assert.equal(reply.json.schema, 1);
  assert.equal((await request({port, path: '/healthz'})).status, 200);
  assert.equal((await request({port, path: '/readyz'})).status, 200);
});

test('origins by list: named with credentials and Vary, others not at all', async (scene) => {
  const gateway = await scene.gateway([
    '--http-cors-origins',
    'https://a.example,https://b.example',
  ]);
  const a = await scene.stream(gateway, {headers: {Origin: 'https://a.example'}});
  assert.equal(a.headers['access-control-allow-origin'], 'https://a.example');
  assert.equal(a.headers['access-control-allow-credentials'], 'true');
  assert.match(a.headers.vary, /Origin/i);
  const other = await scene.stream(gateway, {headers: {Origin: 'https://c.example'}});
  assert.equal(other.headers['access-control-allow-origin'], undefined);
  assert.match(other.headers.vary, /Origin/i);
  const missing = await gateway.request('/nothing', {headers: {Origin: 'https://b.example'}});
  assert.equal(missing.status, 404);
  assert.equal(missing.headers['access-control-allow-origin'], 'https://b.example');
});
