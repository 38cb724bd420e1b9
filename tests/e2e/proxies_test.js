// Goal: behind Debian's nginx and HAProxy, set up as docs/deploy.md says, events pass at once. The
// recipes of deploy/ are taken as they are but for the ports, and so are the lines of
// docs/deploy.md that put the gateway under a path of another site.
//
// "At once" is shown by cause, not by a clock: each event is received before the next one is
// published, so nothing that waits for more bytes can pass. The page is used under a path prefix.
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

// The lines of the first fence of this language in docs/deploy.md.
function documented(language) {
  const match = new RegExp('```' + language + '\\n([^`]+)```').exec(recipe('docs/deploy.md'));
  assert.ok(match, `docs/deploy.md has no lines for ${language}`);
  return match[1];
}

function nginxSite(port, target) {
  return recipe('deploy/nginx/sluice.conf')
    .replaceAll('127.0.0.1:8181', target)
    .replace(/listen\s+(\[::\]:)?80\b[^;]*;/g, (_, six) =>
      six ? '' : `listen 127.0.0.1:${port};`,
    );
}

// The documented locations in the place of the recipe's own, with "the lines of the recipe's
// stream".
function nginxPrefix(port, target) {
  const site = nginxSite(port, target);
  const [, streamLines] = /location ~[^{]*\{([^}]*)\}/.exec(site);
  const lines = documented('nginx').replace(
    /(location = \/live\/stream \{[^}]*)\}.*/,
    (_, start) => start + streamLines.replace(/proxy_pass[^;]*;/, '') + '}',
  );
  return site.slice(0, site.indexOf('location ~')) + lines + '}\n';
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
  const config = scene.file(
    'nginx.conf',
    `daemon off; master_process off; pid ${folder}/nginx.pid;
    error_log ${folder}/error.log;
    events { worker_connections 256; }
    http {
      access_log off;
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
      ${site(port, `127.0.0.1:${gateway.port}`)}
    }`,
  );
  await scene.proxy('/usr/sbin/nginx', ['-c', config, '-e', `${folder}/error.log`], port);
  return port;
}

function haproxySite(port, target) {
  return recipe('deploy/haproxy/haproxy.cfg')
    .replaceAll('127.0.0.1:8181', target)
    .replace(/bind\s+\S*:80\b.*/g, `bind 127.0.0.1:${port}`)
    .replace(/^\s*(user|group|chroot|daemon|stats socket|log)\b.*$/gm, '');
}

function haproxyPrefix(port, target) {
  return haproxySite(port, target).replace(
    /^ *bind .*$/m,
    (bind) => bind + '\n' + documented('haproxy'),
  );
}

async function startHaproxy(scene, gateway, site) {
  const port = await freePort();
  const config = scene.file('haproxy.cfg', site(port, `127.0.0.1:${gateway.port}`) + '\n');
  await scene.proxy('/usr/sbin/haproxy', ['-db', '-f', config], port);
  return port;
}

const kProxies = {
  nginx: {start: startNginx, site: nginxSite, prefix: nginxPrefix},
  HAProxy: {start: startHaproxy, site: haproxySite, prefix: haproxyPrefix},
};
const withKey = (scene) =>
  scene.gateway([
    '--publish-key-file',
    scene.file('keys', kKey + '\n'),
    '--stream-heartbeat',
    '100ms',
  ]);

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
    assert.deepEqual(await stream.next(), {
      type: 'score',
      data: `{"n":${n}}`,
      id: reply.json.data.id,
    });
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
  await stream.ended(); // the end passes as well, so that readers come back
  assert.ok(!stream.isReset);
}

for (const [name, {start, site, prefix}] of Object.entries(kProxies)) {
  test(`${name}: each event arrives before the next is published`, async (scene) => {
    const gateway = await withKey(scene);
    await checkEventsPassAtOnce(scene, gateway, await start(scene, gateway, site), '');
  });

  test(`${name}, under /live/: each event arrives before the next is published`, async (scene) => {
    const gateway = await withKey(scene);
    await checkEventsPassAtOnce(scene, gateway, await start(scene, gateway, prefix), '/live');
  });

  test(`${name}: a reader that goes away is gone behind it too`, async (scene) => {
    const gateway = await scene.gateway();
    const port = await start(scene, gateway, site);
    const stream = new Stream({port, isProxied: true});
    scene.streams.push(stream);
    await stream.opened();
    assert.equal((await gateway.stats()).subscribers, 1);
    stream.close();
    await until('it is gone', async () => (await gateway.stats()).subscribers === 0);
  });

  test(`${name}: keyless, a publish through it is refused`, {engines: 'one'}, async (scene) => {
    const gateway = await scene.gateway();
    const port = await start(scene, gateway, site);
    const refused = await request({port, path: '/broadcast', method: 'POST', body: '{}'});
    assert.equal(refused.status, 403, refused.text);
    assert.equal(refused.json.error, 'forbidden');
  });

  test(`${name}: the page under /live/`, {engines: 'one'}, async (scene) => {
    const gateway = await withKey(scene);
    const port = await start(scene, gateway, prefix);
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
