// Goal: a stop that loses nobody: told in time, streams ended after a whole event, exit 0; and a
// start that cannot be says in one line what to do.
import assert from 'node:assert/strict';
import {suite} from './registry.js';
import {freePort, run, until} from './scene.js';

const test = suite('stop');

test('SIGTERM: goodbye with its own retry, after a whole event, exit 0', async (scene) => {
  const gateway = await scene.gateway(['--stop-spread', '200ms'], {shards: 2});
  const streams = await Promise.all(Array.from({length: 10}, () => scene.stream(gateway)));
  await gateway.publish({n: 1});
  gateway.signal('SIGTERM');
  for (const stream of streams) {
    await stream.ended();
    assert.ok(!stream.isReset, 'an end, no reset');
    assert.equal(stream.parser.events.at(-1).data, '{"n":1}');
    assert.equal(stream.parser.retries.length, 2, "the opening's and the goodbye's");
    assert.match(
      stream.raw.toString(),
      /\nretry: [0-9]+\n(event: sluice\.[a-z]+\ndata: [^\n]+\n\n)?$/,
    );
  }
  assert.deepEqual(await gateway.ended, {code: 0, signal: null});
});

test('SIGTERM while events flow ends every stream after a whole event', async (scene) => {
  const gateway = await scene.gateway(['--stop-delay', '300ms', '--stop-spread', '200ms']);
  const streams = await Promise.all(Array.from({length: 8}, () => scene.stream(gateway)));
  const accepted = [];
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      try {
        const reply = await gateway.request('/broadcast', {
          method: 'POST',
          body: `{"n":${accepted.length}}`,
        });
        if (reply.status === 200) accepted.push(reply.json.data.id);
        else assert.equal(reply.json.error, 'draining');
      } catch {
        isOver = true;
      } // the listener is gone
    }
  })();
  await streams[0].take(20);
  gateway.signal('SIGTERM');
  for (const stream of streams) {
    await stream.ended();
    const ids = stream.parser.events
      .filter((event) => event.type === 'message')
      .map((event) => event.id);
    assert.deepEqual(ids, accepted.slice(0, ids.length), 'a whole prefix of what was accepted');
  }
  isOver = true;
  await publishing;
  assert.deepEqual(await gateway.ended, {code: 0, signal: null});
});

test('readyz is 503 during --stop-delay while all is served', async (scene) => {
  const gateway = await scene.gateway(['--stop-delay', '2s', '--stop-spread', '0']);
  const stream = await scene.stream(gateway);
  gateway.signal('SIGTERM');
  const reply = await until('readyz turns', async () => {
    const now = await gateway.request('/readyz');
    return now.status !== 200 && now;
  });
  assert.equal(reply.status, 503);
  assert.equal(reply.json.error, 'draining');
  assert.equal((await gateway.request('/healthz')).status, 200);
  await gateway.publish({still: 'served'});
  assert.equal((await stream.next()).data, '{"still":"served"}');
  await stream.ended();
  assert.deepEqual(await gateway.ended, {code: 0, signal: null});
});

test('a second SIGTERM exits at once', async (scene) => {
  const gateway = await scene.gateway(['--stop-delay', '10m', '--stop-timeout', '30m']);
  await scene.stream(gateway);
  gateway.signal('SIGTERM');
  await until(
    'the first has been heard',
    async () => (await gateway.request('/readyz')).status === 503,
  );
  gateway.signal('SIGTERM');
  const {code} = await gateway.ended; // the watchdog of the test is shorter than the delay
  assert.notEqual(code, null, "an exit, not the signal's death");
});

test('a reader that stops does not hold up the exit past --stop-timeout', async (scene) => {
  const gateway = await scene.gateway([
    '--stop-spread',
    '0',
    '--stop-timeout',
    '1s',
    '--lag-bytes-max',
    '32MiB',
  ]);
  const good = await scene.stream(gateway);
  const slow = await scene.stream(gateway);
  slow.socket.pause();
  const pad = 'x'.repeat(100_000);
  for (let n = 0; n < 100; n++) {
    await gateway.publish({n, pad});
    await good.next();
  }
  gateway.signal('SIGTERM');
  assert.deepEqual(await gateway.ended, {code: 0, signal: null});
  slow.fault = null;
  slow.close();
});

test('SIGINT stops as SIGTERM does', {engines: 'one'}, async (scene) => {
  const gateway = await scene.gateway(['--stop-spread', '0']);
  const stream = await scene.stream(gateway);
  gateway.signal('SIGINT');
  await stream.ended();
  assert.deepEqual(await gateway.ended, {code: 0, signal: null});
});

// 2: as it was called it can never start; 3: not now.
function checkRefusedStart({code, stderr}, pattern, what, expected = 2) {
  assert.equal(code, expected, `${what}: exit ${code}: ${stderr}`);
  assert.equal(stderr.trim().split('\n').length, 1, `${what}: one line: ${stderr}`);
  assert.match(stderr, pattern, what);
}

test('a port in use: exit 3 and a line that says what to do', async (scene) => {
  const gateway = await scene.gateway();
  const words = [
    '--listen',
    `127.0.0.1:${gateway.port}`,
    '--engine',
    scene.engine,
    '--shards',
    '1',
  ];
  checkRefusedStart(
    await run(scene.binary, words),
    new RegExp(`${gateway.port}.*(in use|taken)`),
    "the same user's",
    3,
  );
  await gateway.publish({n: 1}); // the first is unharmed
  const port = (await scene.server((_, reply) => reply.end())).port;
  checkRefusedStart(
    await run(scene.binary, ['--listen', `127.0.0.1:${port}`, '--engine', scene.engine]),
    new RegExp(String(port)),
    "another program's",
    3,
  );
});

test('a bad option or file: exit 2 and one line', {engines: 'one'}, async (scene) => {
  const port = await freePort();
  const cases = {
    'unknown option': ['--no-such-option', '1'],
    'bad address': ['--listen', 'nowhere'],
    'bad number': ['--shards', 'many'],
    'bad engine': ['--engine', 'kqueue'],
    'bad duration': ['--stop-delay', '10 parsecs'],
    'relation of bounds': ['--lag-bytes-max', '1KiB'],
    'no such file': ['--config', '/nonexistent/sluice.toml'],
    'no such key file': ['--publish-key-file', '/nonexistent/keys'],
    'an empty key file': ['--publish-key-file', scene.file('empty', '\n')],
    'bad TOML': ['--config', scene.file('bad.toml', 'listen = [')],
    'unknown name in TOML': ['--config', scene.file('unknown.toml', '[stream]\nhartbeat = "1s"\n')],
  };
  for (const [what, words] of Object.entries(cases)) {
    const listen = what === 'bad address' ? [] : ['--listen', `127.0.0.1:${port}`];
    checkRefusedStart(await run(scene.binary, [...listen, ...words]), /\w/, what);
  }
});

test('file, environment, flags: later wins', {engines: 'one'}, async (scene) => {
  const ports = [await freePort(), await freePort(), await freePort()];
  const file = scene.file(
    'sluice.toml',
    `listen = ["127.0.0.1:${ports[0]}"]\nshards = 1\n[stream]\nheartbeat = "100ms"\n`,
  );
  process.env.SLUICE_LISTEN = `127.0.0.1:${ports[1]}`;
  let gateway;
  try {
    gateway = await scene.gateway(['--config', file], {port: ports[2]});
  } finally {
    delete process.env.SLUICE_LISTEN;
  }
  const stream = await scene.stream(gateway);
  await stream.heartbeats(2); // the file's, which nothing later overrode
});
