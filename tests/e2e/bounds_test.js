// Goal: at its bounds the gateway refuses in so many words, counts it, and goes on.
import assert from 'node:assert/strict';
import http from 'node:http';
import {suite} from './registry.js';
import {freePort, Gateway, until} from './scene.js';
import {Raw} from './http.js';
import {Stream} from './stream.js';

const test = suite('bounds');

test('a full ring is 503 with Retry-After, and nothing acknowledged is lost', async (scene) => {
  // Two slots, two shards that both have to take each event, many publishers at once.
  const gateway = await scene.gateway(['--ring-events-max', '2'], {shards: 2});
  const streams = await Promise.all(Array.from({length: 6}, () => scene.stream(gateway)));
  const agent = new http.Agent({keepAlive: true});
  scene.later(() => agent.destroy());
  const accepted = [];
  let fullCount = 0;
  const post = (body) =>
    new Promise((done, fail) => {
      const call = http.request({
        port: gateway.port,
        host: '127.0.0.1',
        path: '/broadcast',
        method: 'POST',
        agent,
      });
      call.once('error', fail);
      call.once('response', (reply) => {
        let text = '';
        reply.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        reply.once('end', () => done({reply, json: JSON.parse(text)}));
      });
      call.end(body);
    });
  const publisher = async (p) => {
    for (let n = 0; n < 40; n++) {
      const {reply, json} = await post(JSON.stringify({p, n}));
      if (reply.statusCode === 200) {
        accepted.push(json.data.id);
        continue;
      }
      assert.equal(reply.statusCode, 503);
      assert.equal(json.error, 'ring_full');
      assert.match(reply.headers['retry-after'], /^[0-9]+$/);
      fullCount++;
    }
  };
  // Whether the ring fills is the scheduler's affair; it is asked until it has.
  await until('the ring has been full', async () => {
    await Promise.all(Array.from({length: 16}, (_, p) => publisher(p)));
    return fullCount > 0;
  });
  const end = await gateway.publish('end').catch(() => null);
  const count = accepted.length + (end ? 1 : 0);
  const seen = await Promise.all(streams.map((stream) => stream.take(count)));
  for (const events of seen) assert.deepEqual(events, seen[0]);
  const ids = new Set(seen[0].map((event) => event.id));
  assert.equal(ids.size, count);
  for (const id of accepted) assert.ok(ids.has(id), `${id} was acknowledged`);
  assert.ok((await gateway.stats()).refusals_total.ring_full >= fullCount);
});

test('more readers than descriptors: the rest is told to come back', async (scene) => {
  const port = await freePort();
  const gateway = new Gateway(
    'bash',
    [
      '-c',
      'ulimit -n 150; exec "$0" "$@"',
      scene.binary,
      '--listen',
      `127.0.0.1:${port}`,
      '--engine',
      scene.engine,
      '--shards',
      '1',
      '--stream-subscribers-max',
      scene.engine === 'epoll' ? '0' : '60',
    ],
    port,
  );
  scene.gateways.push(gateway);
  await gateway.ready();
  const streams = Array.from({length: 220}, () => new Stream({port}));
  scene.streams.push(...streams);
  await Promise.all(
    streams.map((stream) => stream.until('an answer', () => stream.parser.events.length > 0)),
  );
  const served = streams.filter((stream) => stream.parser.events[0].type === 'sluice.open');
  const refused = streams.filter((stream) => stream.parser.events[0].type === 'sluice.error');
  assert.ok(
    served.length >= 30 && refused.length > 0,
    `${served.length} served, ${refused.length} refused`,
  );
  assert.equal(served.length + refused.length, streams.length);
  for (const stream of refused)
    assert.match(JSON.parse(stream.parser.events[0].data).error, /_full$/);
  await gateway.publish({n: 1});
  await Promise.all(
    served.map((stream) => stream.until('the event', () => stream.parser.events.length === 2)),
  );
  served.slice(0, 10).forEach((stream) => stream.close());
  await until('there is room again', async () => (await gateway.request('/readyz')).status === 200);
  await scene.stream(gateway);
});

test('idle connections: past the bound the idlest goes, streams stay', async (scene) => {
  const gateway = await scene.gateway(['--http-idle-connections-max', '8']);
  const stream = await scene.stream(gateway);
  const idle = [];
  for (let n = 0; n < 30; n++) {
    const raw = new Raw(gateway.port);
    await raw.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    assert.equal((await raw.reply()).status, 200);
    idle.push(raw);
  }
  await Promise.all(idle.slice(0, 20).map((raw) => raw.ended()));
  const last = idle.at(-1);
  assert.equal(last.isEnd, false, 'the newest stays');
  await last.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  assert.equal((await last.reply()).status, 200);
  await gateway.publish({n: 1});
  assert.equal((await stream.next()).data, '{"n":1}');
  idle.forEach((raw) => raw.close());
});
