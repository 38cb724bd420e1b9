// One Chromium for the whole run; each test gets a context of its own.
import assert from 'node:assert/strict';
import {mkdirSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';

const kOut = join(dirname(fileURLToPath(import.meta.url)), '../../out');
let browser = null;

// `more` is of chromium.launch.
export function launch(more = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', // tests may run as root, where Chromium's sandbox cannot
      '--host-resolver-rules=MAP *.sluice.test 127.0.0.1', // a host that is not this one's own
    ],
    ...more,
  });
}

export async function openPage(scene, options = {}) {
  browser ??= await launch();
  const context = await browser.newContext(options);
  scene.later(() => context.close());
  return openTab(context);
}

// One more page of the same person, as it were: storage is shared.
export async function openTab(context) {
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(`uncaught: ${error.message}`));
  page.on('console', (line) => {
    if (/Content Security Policy/i.test(line.text())) page.faults.push(line.text());
  });
  return page;
}

export function checkPage(page) {
  assert.deepEqual(page.faults, []);
}

export async function screenshot(page, name) {
  mkdirSync(kOut, {recursive: true});
  await page.screenshot({path: join(kOut, name)});
}

export async function closeBrowser() {
  await browser?.close();
}
