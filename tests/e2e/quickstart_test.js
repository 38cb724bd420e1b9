// Goal: what a newcomer types works, with curl as Debian ships it.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {run, until} from './scene.js';
import {join} from 'node:path';

const test = suite('quickstart');
const kEnvelope = ['success', 'code', 'data'];

test('curl -N sees what curl -d posts', async (scene) => {
  const gateway = await scene.gateway();
  const watch = await scene.curlStream([gateway.url('/stream')]);
  const post = await run('curl', ['-sS', gateway.url('/broadcast'), '-d', '{"hello":"world"}']);
  assert.equal(post.code, 0, post.stderr);
  const reply = JSON.parse(post.stdout);
  assert.deepEqual(Object.keys(reply), kEnvelope);
  assert.equal(reply.success, true);
  assert.equal(reply.code, 200);
  assert.equal(reply.data.subscribers, 1);
  await until(
    'curl sees the event',
    () => watch.stdout.includes(`data: {"hello":"world"}\nid: ${reply.data.id}\n\n`),
    () => !watch.exit,
  );
});

test('curl on the paths of the blog', async (scene) => {
  const gateway = await scene.gateway();
  const stream = await scene.stream(gateway, {path: '/api/v1/sso/stream'});
  const post = await run('curl', [
    '-sS',
    '-X',
    'POST',
    gateway.url('/api/v1/sso/broadcast'),
    '-H',
    'Content-Type: application/json',
    '-d',
    '{"name":"score"}',
  ]);
  const reply = JSON.parse(post.stdout);
  assert.deepEqual(await stream.next(), {
    type: 'message',
    data: '{"name":"score"}',
    id: reply.data.id,
  });
});

test('a publish without subscribers is 200 and counts 0', async (scene) => {
  const gateway = await scene.gateway();
  const data = await gateway.publish({a: 1});
  assert.equal(data.subscribers, 0);
  assert.match(data.id, /^[!-~]+-[0-9]+$/);
});

test('curl over a unix socket', async (scene) => {
  const path = join(scene.folder(), 'gateway.sock');
  const gateway = await scene.gateway(['--listen', `unix:${path}`]);
  const stream = await scene.stream(gateway);
  const post = await run('curl', [
    '-sS',
    '--unix-socket',
    path,
    'http://localhost/broadcast',
    '-d',
    '[1]',
  ]);
  assert.equal(JSON.parse(post.stdout).success, true, post.stdout);
  assert.equal((await stream.next()).data, '[1]');
  const watch = await scene.curlStream(['--unix-socket', path, 'http://localhost/stream']);
  await gateway.publish({n: 2});
  await until(
    'curl sees the event',
    () => watch.stdout.includes('data: {"n":2}\n'),
    () => !watch.exit,
  );
  const health = await run('curl', [
    '-sS',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    '--unix-socket',
    path,
    'http://localhost/healthz',
  ]);
  assert.equal(health.stdout, '200');
});

test('--version, --help and --check', {engines: 'one'}, async (scene) => {
  const version = await run(scene.binary, ['--version']);
  assert.equal(version.code, 0);
  assert.match(version.stdout, /[0-9]+\.[0-9]+\.[0-9]+/);
  const help = await run(scene.binary, ['--help']);
  assert.equal(help.code, 0);
  for (const flag of [
    '--listen',
    '--admin-listen',
    '--shards',
    '--cpus',
    '--engine',
    '--config',
    '--publish-key-file',
    '--keyless-publish',
    '--stop-delay',
    '--stop-spread',
    '--stop-timeout',
    '--lag-bytes-max',
    '--stream-heartbeat',
    '--check',
    '--version',
  ]) {
    assert.ok(help.stdout.includes(flag), `--help names ${flag}`);
  }
  const check = await run(scene.binary, ['--check', '--engine', scene.engine]);
  assert.equal(check.code, 0, check.stderr);
  assert.match(check.stdout + check.stderr, /io_uring|epoll/);
});
