// HTTP as a test wants it: a plain request, and raw bytes over a socket with the replies taken
// apart.
import http from 'node:http';
import net from 'node:net';

// One request on a connection of its own: {status, headers, text, json}.
export function request({port, path, method = 'GET', headers = {}, body, socketPath}) {
  return new Promise((done, fail) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const all = {...headers};
    if (bytes && !Object.keys(all).some((name) => name.toLowerCase() === 'content-length')) {
      all['Content-Length'] = bytes.length;
    }
    const call = http.request({
      host: '127.0.0.1',
      port,
      path,
      method,
      headers: all,
      socketPath,
      agent: false,
    });
    call.once('error', fail);
    call.once('response', (reply) => {
      const chunks = [];
      reply.on('data', (chunk) => chunks.push(chunk));
      reply.once('error', fail);
      reply.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        let json = null;
        try {
          json = JSON.parse(text);
        } catch {
          /* no JSON */
        }
        done({
          status: reply.statusCode,
          headers: reply.headers,
          rawHeaders: reply.rawHeaders,
          text,
          json,
        });
      });
    });
    call.end(bytes);
  });
}

// Takes one reply off the front of `bytes`: {status, version, headers, body, rest}, or null if it
// is not whole. Headers are lower-case; a header given twice is an array.
export function takeReply(bytes, {isHead = false, isEnd = false} = {}) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [first, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const match = /^HTTP\/1\.([01]) (\d{3}) ?(.*)$/.exec(first);
  if (!match) throw new Error(`no status line: ${JSON.stringify(first)}`);
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new Error(`no header line: ${JSON.stringify(line)}`);
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? [headers[name], value].flat() : value;
  }
  const status = Number(match[2]);
  const begin = end + 4;
  let length = 0;
  if (!isHead && status >= 200 && status !== 204 && status !== 304) {
    if (headers['content-length'] !== undefined) length = Number(headers['content-length']);
    else if (isEnd) length = bytes.length - begin;
    else return null;
  }
  if (bytes.length < begin + length) return null;
  return {
    version: `1.${match[1]}`,
    status,
    headers,
    text: bytes.subarray(begin, begin + length).toString('utf8'),
    rest: bytes.subarray(begin + length),
  };
}

// A socket to write any bytes to. Replies are taken in order.
export class Raw {
  constructor(port) {
    this.bytes = Buffer.alloc(0);
    this.isEnd = false;
    this.isReset = false;
    this.waiting = [];
    this.socket = net.connect({port, host: '127.0.0.1', allowHalfOpen: true});
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.tell();
    });
    this.socket.on('end', () => {
      this.isEnd = true;
      this.tell();
    });
    this.socket.on('error', () => {
      this.isEnd = this.isReset = true;
      this.tell();
    });
    this.socket.on('close', () => {
      this.isEnd = true;
      this.tell();
    });
  }
  tell() {
    for (const wake of this.waiting.splice(0)) wake();
  }
  changed() {
    return new Promise((done) => this.waiting.push(done));
  }
  write(bytes) {
    return new Promise((done) => {
      if (this.socket.destroyed) {
        done(false);
        return;
      }
      this.socket.write(bytes, (error) => done(!error));
    });
  }
  // The next reply, or null if the connection ends without one.
  async reply(options = {}) {
    for (;;) {
      const reply = takeReply(this.bytes, {...options, isEnd: this.isEnd});
      if (reply) {
        this.bytes = reply.rest;
        return {...reply, json: parseOrNull(reply.text)};
      }
      if (this.isEnd) return null;
      await this.changed();
    }
  }
  async ended() {
    while (!this.isEnd) await this.changed();
  }
  close() {
    this.socket.destroy();
  }
}

function parseOrNull(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// Writes `bytes` and gives the first reply; `ends` says whether the gateway closes after it.
export async function exchange(port, bytes, options = {}) {
  const raw = new Raw(port);
  await raw.write(bytes);
  const reply = await raw.reply(options);
  if (options.ends) await raw.ended();
  raw.close();
  return reply;
}
