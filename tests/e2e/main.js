// Runs every test, prints a line for each and `N passed, N failed` at the end.
//
// A test is registered with `test(name, {engines}, body)`; `body` gets a Scene that starts gateways
// and ends all that was started. A test that does not end within `kTestMs` has failed: that is a
// watchdog against a hang, no timing is asserted anywhere.
import {existsSync, readdirSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import {run, Scene} from './scene.js';
import {tests} from './registry.js';
import {closeBrowser} from './browser.js';

const kTestMs = 120_000;
const here = dirname(fileURLToPath(import.meta.url));

function parseArguments(words) {
  const options = {
    binary: join(here, '../../build/sluice'),
    engines: ['io_uring', 'epoll'],
    only: '',
  };
  while (words.length > 0) {
    const word = words.shift();
    if (word === '--engine') options.engines = [words.shift()];
    else if (word === '--only') options.only = words.shift() ?? '';
    else if (word === '--list') options.isList = true;
    else if (word.startsWith('--')) throw new Error(`unknown option ${word}: see tests/e2e/run`);
    else options.binary = resolve(word);
  }
  return options;
}

async function runOne(test, engine, options) {
  const scene = new Scene({engine, binary: options.binary});
  let watchdog;
  const hang = new Promise((_, reject) => {
    watchdog = setTimeout(
      () => reject(new Error(`did not end within ${kTestMs / 1000} s`)),
      kTestMs,
    );
  });
  let fault = null;
  try {
    await Promise.race([test.body(scene), hang]);
  } catch (error) {
    fault = error;
  }
  clearTimeout(watchdog);
  const endFault = await scene.end(fault === null);
  return {fault: fault ?? endFault, log: scene.log()};
}

const options = parseArguments(process.argv.slice(2));
for (const file of readdirSync(here)
  .filter((name) => name.endsWith('_test.js'))
  .sort()) {
  await import(pathToFileURL(join(here, file)));
}
if (!options.isList && !existsSync(options.binary)) {
  console.error(`${options.binary} is not there: build it first with scripts/build`);
  process.exit(2);
}

// A stray rejection outside any test must not look like success.
process.on('unhandledRejection', (error) => {
  console.error('stray rejection:', error);
  process.exitCode = 1;
});

// A host that cannot run an engine (containers often forbid io_uring) leaves it out, in so many
// words; an engine asked for with --engine has to be there.
if (!options.isList && options.engines.length > 1) {
  for (const engine of options.engines) {
    const check = await run(options.binary, ['--check', '--engine', engine]);
    if (check.code === 0) continue;
    console.log(`left out: ${engine}: ${(check.stderr || check.stdout).trim()}`);
    options.engines = options.engines.filter((each) => each !== engine);
  }
}

let passed = 0;
const failed = [];
for (const test of tests) {
  const engines = test.engines === 'one' ? options.engines.slice(0, 1) : options.engines;
  for (const engine of engines) {
    const name = `${test.file} ${test.name} [${engine}]`;
    if (!name.includes(options.only)) continue;
    if (options.isList) {
      console.log(name);
      continue;
    }
    const begin = Date.now();
    const {fault, log} = await runOne(test, engine, options);
    if (!fault) {
      passed++;
      console.log(`ok   ${name} (${Date.now() - begin} ms)`);
    } else {
      failed.push(name);
      console.log(`FAIL ${name}`);
      console.log(String(fault.stack ?? fault).replace(/^/gm, '     '));
      if (log) console.log(log.slice(-3000).replace(/^/gm, '     gateway| '));
    }
  }
}
await closeBrowser();
for (const name of failed) console.log(`failed: ${name}`);
if (!options.isList) console.log(`${passed} passed, ${failed.length} failed`);
process.exit(failed.length > 0 || (passed === 0 && !options.isList) ? 1 : (process.exitCode ?? 0));
