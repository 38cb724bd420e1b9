// Goal: behind Debian's nginx and HAProxy, set up as docs/ says, events pass at once.
//
// "At once" is shown by cause, not by a clock: each event is received before the next one is published,
// so nothing that waits for more bytes can pass. The page is used under a path prefix.
import assert from 'node:assert/strict';
import {existsSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {suite} from './registry.js';
import {freePort} from './scene.js';
import {Stream} from './stream.js';
import {request} from './http.js';
import {checkPage, openPage, screenshot} from './browser.js';

const test = suite('proxies');
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const kKey = 'proxied-key-0123456789abcdef';
const kHeaders = {Authorization: `Bearer ${kKey}`, 'Content-Type': 'application/json'};

function recipe(path) {
  assert.ok(existsSync(join(root, path)), `${path} is missing`);
  return readFileSync(join(root, path), 'utf8');
}

async function startNginx(scene, gateway) {
  const port = await freePort();
  const folder = scene.folder();
  const site = recipe('deploy/nginx/sluice.conf')
    .replaceAll('127.0.0.1:8181', `127.0.0.1:${gateway.port}`)
    .replace(/listen\s+(\[::\]:)?80\b[^;]*;/g, (_, six) => (six ? '' : `listen 127.0.0.1:${port};`));
  const config = scene.file('nginx.conf', `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
    events { worker_connections 256; }
    http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f;
      uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      ${site}
    }`);
  await scene.proxy('/usr/sbin/nginx', ['-c', config, '-e', `${folder}/error.log`], port);
  return port;
}

async function startHaproxy(scene, gateway) {
  const port = await freePort();
  const config = scene.file('haproxy.cfg', recipe('deploy/haproxy/haproxy.cfg')
    .replaceAll('127.0.0.1:8181', `127.0.0.1:${gateway.port}`)
    .replace(/bind\s+\S*:80\b.*/g, `bind 127.0.0.1:${port}`)
    .replace(/^\s*(user|group|chroot|daemon|stats socket|log)\b.*$/gm, ''));
  await scene.proxy('/usr/sbin/haproxy', ['-db', '-f', config], port);
  return port;
}

for (const [name, start] of Object.entries({nginx: startNginx, HAProxy: startHaproxy})) {
  test(`${name}: each event arrives before the next is published`, async (scene) => {
    const gateway = await scene.gateway(['--publish-key-file', scene.file('keys', kKey + '\n'), '--stream-heartbeat', '100ms']);
    const port = await start(scene, gateway);
    const stream = new Stream({port, path: '/live/stream'});
    scene.streams.push(stream);
    await stream.opened();
    for (let n = 0; n < 30; n++) {
      if (n % 10 === 0) await stream.heartbeats(2);
      const reply = await request({port, path: '/live/broadcast?event=score', method: 'POST', headers: kHeaders, body: `{"n":${n}}`});
      assert.equal(reply.status, 200, reply.text);
      assert.deepEqual(await stream.next(), {type: 'score', data: `{"n":${n}}`, id: reply.json.data.id});
    }
    const big = JSON.stringify({pad: 'x'.repeat(300_000)});
    const reply = await request({port, path: '/live/broadcast', method: 'POST', headers: kHeaders, body: big});
    assert.equal(reply.status, 200, reply.text);
    assert.equal((await stream.next()).data, big);
    // The envelope passes, and what comes through a proxy is no loopback publish.
    const refused = await request({port, path: '/live/broadcast', method: 'POST', body: '{}'});
    assert.equal(refused.status, 401);
    assert.equal(refused.json.error, 'key_missing');
    await gateway.stop();
    await stream.ended();  // the end passes as well, so that readers come back
  });

  test(`${name}: keyless, a publish through the proxy is refused`, {engines: 'one'}, async (scene) => {
    const gateway = await scene.gateway();
    const port = await start(scene, gateway);
    const refused = await request({port, path: '/live/broadcast', method: 'POST', body: '{}'});
    assert.equal(refused.status, 403, refused.text);
    assert.equal(refused.json.error, 'forbidden');
  });

  test(`${name}: the page under /live/`, {engines: 'one'}, async (scene) => {
    const gateway = await scene.gateway(['--publish-key-file', scene.file('keys', kKey + '\n')]);
    const port = await start(scene, gateway);
    const page = await openPage(scene);
    await page.goto(`http://127.0.0.1:${port}/live/`);
    await page.waitForSelector('#state[data-state="open"]');
    await page.fill('#key', kKey);
    await page.fill('#event-type', 'goal');
    await page.click('#send');
    await page.waitForSelector('#list li:has-text("goal")');
    assert.match(await page.textContent('#line-watch'), /\/live\/stream'$/);
    // Without the slash one is led to it: the page's addresses are relative.
    await page.goto(`http://127.0.0.1:${port}/live`);
    await page.waitForSelector('#state[data-state="open"]');
    await screenshot(page, `page-behind-${name.toLowerCase()}.png`);
    checkPage(page);
  });
}
