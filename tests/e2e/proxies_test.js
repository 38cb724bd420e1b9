// Goal: behind Debian's nginx and HAProxy, set up as docs/ says, events pass at once.
//
// "At once" is shown by cause, not by a clock: each event is received before the next one is published,
// so nothing that waits for more bytes can pass. The page is used under a path prefix.
import assert from 'node:assert/strict';
import {existsSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {suite} from './registry.js';
import {freePort, until} from './scene.js';
import {request} from './http.js';
import {Stream} from './stream.js';
import {checkPage, openPage, screenshot} from './browser.js';

const test = suite('proxies');
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const kKey = 'proxied-key-0123456789abcdef';
const kHeaders = {Authorization: `Bearer ${kKey}`, 'Content-Type': 'application/json'};

function recipe(path) {
  assert.ok(existsSync(join(root, path)), `${path} is missing`);
  return readFileSync(join(root, path), 'utf8');
}

// The recipe puts the gateway under /live/.
function nginxSite(port, target) {
  return recipe('deploy/nginx/sluice.conf')
    .replaceAll('127.0.0.1:8181', target)
    .replace(/listen\s+(\[::\]:)?80\b[^;]*;/g, (_, six) => (six ? '' : `listen 127.0.0.1:${port};`));
}

// What somebody writes who has read nothing: at the root, with nginx's own buffering left on. That
// X-Accel-Buffering turns it off for streams is what is tested.
function nginxPlain(port, target) {
  return `server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${target}; }
  }`;
}

async function startNginx(scene, gateway, site) {
  const port = await freePort();
  const folder = scene.folder();
  const config = scene.file('nginx.conf', `daemon off; master_process off; pid ${folder}/nginx.pid;
    error_log ${folder}/error.log;
    events { worker_connections 256; }
    http {
      access_log off;
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
      ${site(port, `127.0.0.1:${gateway.port}`)}
    }`);
  await scene.proxy('/usr/sbin/nginx', ['-c', config, '-e', `${folder}/error.log`], port);
  return port;
}

function haproxySite(port, target) {
  return recipe('deploy/haproxy/haproxy.cfg')
    .replaceAll('127.0.0.1:8181', target)
    .replace(/bind\s+\S*:80\b.*/g, `bind 127.0.0.1:${port}`)
    .replace(/^\s*(user|group|chroot|daemon|stats socket|log)\b.*$/gm, '');
}

async function startHaproxy(scene, gateway, site) {
  const port = await freePort();
  const config = scene.file('haproxy.cfg', site(port, `127.0.0.1:${gateway.port}`) + '\n');
  await scene.proxy('/usr/sbin/haproxy', ['-db', '-f', config], port);
  return port;
}

const kProxies = {
  nginx: {start: startNginx, site: nginxSite},
  HAProxy: {start: startHaproxy, site: haproxySite},
};
const withKey = (scene) => scene.gateway(
  ['--publish-key-file', scene.file('keys', kKey + '\n'), '--stream-heartbeat', '100ms']);

async function checkEventsPassAtOnce(scene, gateway, port, base) {
  const stream = new Stream({port, path: `${base}/stream`, isProxied: true});
  scene.streams.push(stream);
  await stream.opened();
  const publish = (query, body, headers = kHeaders) =>
    request({port, path: `${base}/broadcast${query}`, method: 'POST', headers, body});
  for (let n = 0; n < 30; n++) {
    if (n % 10 === 0) await stream.heartbeats(2);
    const reply = await publish('?event=score', `{"n":${n}}`);
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(await stream.next(), {type: 'score', data: `{"n":${n}}`, id: reply.json.data.id});
  }
  const big = JSON.stringify({pad: 'x'.repeat(300_000)});
  const reply = await publish('', big);
  assert.equal(reply.status, 200, reply.text);
  assert.equal((await stream.next()).data, big);
  // The envelope passes too.
  const refused = await publish('', '{}', {});
  assert.equal(refused.status, 401);
  assert.equal(refused.json.error, 'key_missing');
  await gateway.stop();
  await stream.ended();  // the end passes as well, so that readers come back
  assert.ok(!stream.isReset);
}

for (const [name, {start, site}] of Object.entries(kProxies)) {
  test(`${name}: each event arrives before the next is published`, async (scene) => {
    const gateway = await withKey(scene);
    await checkEventsPassAtOnce(scene, gateway, await start(scene, gateway, site), '/live');
  });

  test(`${name}: a reader that goes away is gone behind it too`, async (scene) => {
    const gateway = await scene.gateway();
    const port = await start(scene, gateway, site);
    const stream = new Stream({port, path: '/live/stream', isProxied: true});
    scene.streams.push(stream);
    await stream.opened();
    assert.equal((await gateway.stats()).subscribers, 1);
    stream.close();
    await until('it is gone', async () => (await gateway.stats()).subscribers === 0);
  });

  test(`${name}: keyless, a publish through it is refused`, {engines: 'one'}, async (scene) => {
    const gateway = await scene.gateway();
    const port = await start(scene, gateway, site);
    const refused = await request({port, path: '/live/broadcast', method: 'POST', body: '{}'});
    assert.equal(refused.status, 403, refused.text);
    assert.equal(refused.json.error, 'forbidden');
  });

  test(`${name}: the page under /live/`, {engines: 'one'}, async (scene) => {
    const gateway = await withKey(scene);
    const port = await start(scene, gateway, site);
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

test('nginx with nothing but proxy_pass: events pass at once all the same', async (scene) => {
  const gateway = await withKey(scene);
  await checkEventsPassAtOnce(scene, gateway, await startNginx(scene, gateway, nginxPlain), '');
});
