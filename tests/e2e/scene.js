// What one test starts: gateways, proxies, servers, streams; all of it is ended with the test.
//
// A gateway gets a free port below the kernel's ephemeral range (so that no outgoing connection
// takes it in between), is stopped by its pid with SIGTERM and has to exit with 0.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {request} from './http.js';
import {Stream} from './stream.js';

const [kPortMin, kPortMax] = (process.env.E2E_PORTS ?? '18200-19199').split('-').map(Number);
let nextPort = kPortMin + Math.floor(Math.random() * (kPortMax - kPortMin));

function canListen(port) {
  return new Promise((done) => {
    const server = net.createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}

export async function freePort() {
  for (let tries = kPortMin; tries <= kPortMax; tries++) {
    nextPort = nextPort >= kPortMax ? kPortMin : nextPort + 1;
    if (await canListen(nextPort)) return nextPort;
  }
  throw new Error(`no free port in ${kPortMin}-${kPortMax}`);
}

// Asks again until `probe` gives something true: for states that no one tells us of.
export async function until(what, probe, isStill = () => true) {
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (!isStill()) throw new Error(`never came true: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

export class Program {
  constructor(command, words, options = {}) {
    this.stdout = '';
    this.stderr = '';
    this.exit = null; // {code, signal}
    this.child = spawn(command, words, {stdio: ['ignore', 'pipe', 'pipe'], ...options});
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
    });
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
    });
    this.ended = new Promise((done, fail) => {
      this.child.once('error', fail);
      this.child.once('close', (code, signal) => {
        this.exit = {code, signal};
        done(this.exit);
      });
    });
    this.ended.catch(() => {});
  }
  get pid() {
    return this.child.pid;
  }
  signal(name) {
    if (!this.exit) this.child.kill(name);
  }
}

// Runs a program to its end.
export async function run(command, words, options) {
  const program = new Program(command, words, options);
  const {code} = await program.ended;
  return {code, stdout: program.stdout, stderr: program.stderr};
}

export class Gateway extends Program {
  constructor(binary, words, port) {
    super(binary, words);
    this.port = port;
    this.origin = `http://127.0.0.1:${port}`;
  }
  url(path) {
    return this.origin + path;
  }
  // {status, headers, text, json}; `options` as of http.request, with body.
  request(path, options = {}) {
    return request({port: this.port, path, ...options});
  }

  // Publishes and checks that it was taken; `body` is an object (sent as JSON) or {text}.
  async publish(data, {event, headers = {}} = {}) {
    const isText = typeof data === 'object' && data !== null && 'text' in data;
    const reply = await this.request(
      '/broadcast' + (event ? `?event=${encodeURIComponent(event)}` : ''),
      {
        method: 'POST',
        headers: {'Content-Type': isText ? 'text/plain' : 'application/json', ...headers},
        body: isText ? data.text : JSON.stringify(data),
      },
    );
    assert.equal(reply.status, 200, `publish: ${reply.status} ${reply.text}`);
    assert.equal(reply.json.success, true);
    return reply.json.data;
  }
  async stats(headers = {}) {
    const reply = await this.request('/stats', {headers});
    assert.equal(reply.status, 200, `stats: ${reply.status} ${reply.text}`);
    return reply.json;
  }
  async ready() {
    await until('the gateway answers', async () => {
      if (this.exit)
        throw new Error(`gateway ended with ${JSON.stringify(this.exit)}: ${this.stderr}`);
      try {
        return (await this.request('/readyz')).status === 200;
      } catch {
        return false;
      }
    });
    return this;
  }
  async stop() {
    if (!this.exit) this.signal('SIGTERM');
    const {code, signal} = await this.ended;
    assert.deepEqual({code, signal}, {code: 0, signal: null}, 'SIGTERM ends the gateway with 0');
  }
}

export class Scene {
  constructor({engine, binary}) {
    this.engine = engine;
    this.binary = binary;
    this.gateways = [];
    this.streams = [];
    this.endings = []; // run in reverse
  }

  // A folder of the test's own, gone with it.
  folder() {
    if (!this.folder_) {
      this.folder_ = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
      this.later(() => rmSync(this.folder_, {recursive: true, force: true}));
    }
    return this.folder_;
  }
  file(name, text) {
    const path = join(this.folder(), name);
    writeFileSync(path, text, {mode: 0o600});
    return path;
  }
  later(ending) {
    this.endings.push(ending);
  }

  // curl as a subscriber, once its stream is open.
  async curlStream(words) {
    const watch = new Program('curl', ['-sN', ...words]);
    this.later(async () => {
      watch.signal('SIGTERM');
      await watch.ended;
    });
    await until(
      'curl sees sluice.open',
      () => watch.stdout.includes('event: sluice.open\n'),
      () => !watch.exit,
    );
    return watch;
  }

  // Starts the gateway's program with these words only.
  program(words) {
    const program = new Gateway(this.binary, words, 0);
    this.later(() => program.signal('SIGKILL'));
    this.gateways.push(program);
    return program;
  }
  // A gateway that answers. `shards` is 1 unless the test wants more; `words` are further flags.
  async gateway(words = [], {port, shards = 1} = {}) {
    port ??= await freePort();
    const all = [
      '--listen',
      `127.0.0.1:${port}`,
      '--engine',
      this.engine,
      '--shards',
      String(shards),
      ...words,
    ];
    const gateway = new Gateway(this.binary, all, port);
    this.gateways.push(gateway);
    await gateway.ready();
    return gateway;
  }
  // A raw stream that has said sluice.open; its bytes are checked by the strict parser to its end.
  async stream(gateway, options = {}) {
    const stream = new Stream({port: gateway.port, ...options});
    this.streams.push(stream);
    await stream.opened();
    return stream;
  }
  // An HTTP server of the test: another origin.
  async server(answer) {
    const port = await freePort();
    const server = http.createServer(answer);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    this.later(() => {
      server.closeAllConnections?.();
      server.close();
    });
    return {port, origin: `http://127.0.0.1:${port}`};
  }
  async proxy(command, words, port) {
    const program = new Program(command, words);
    this.later(async () => {
      program.signal('SIGTERM');
      await program.ended;
    });
    await until(`${command} listens`, () => {
      if (program.exit) throw new Error(`${command} ended: ${program.stderr}`);
      return new Promise((done) => {
        const socket = net.connect(port, '127.0.0.1', () => {
          socket.destroy();
          done(true);
        });
        socket.once('error', () => done(false));
      });
    });
    return program;
  }

  // Ends all; gives the first fault found on the way if the test itself was good.
  async end(isGood) {
    let fault = null;
    const note = (error) => {
      fault ??= error;
    };
    for (const stream of this.streams) {
      try {
        stream.check();
      } catch (error) {
        note(error);
      }
      stream.close();
    }
    for (const gateway of this.gateways) {
      if (gateway.exit) continue;
      if (!isGood) {
        gateway.signal('SIGKILL');
        await gateway.ended;
        continue;
      }
      let watchdog;
      const late = new Promise((_, reject) => {
        watchdog = setTimeout(
          () => reject(new Error('the gateway did not stop within 40 s')),
          40_000,
        );
      });
      try {
        await Promise.race([gateway.stop(), late]);
      } catch (error) {
        note(error);
        gateway.signal('SIGKILL');
      }
      clearTimeout(watchdog);
    }
    for (const ending of this.endings.reverse()) {
      try {
        await ending();
      } catch (error) {
        note(error);
      }
    }
    return fault;
  }
  log() {
    return this.gateways
      .map((gateway) => gateway.stderr + gateway.stdout)
      .join('\n---\n')
      .trim();
  }
}
