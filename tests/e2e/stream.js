// A subscriber that reads the raw bytes of a stream and checks each of them.
//
// The grammar that every stream has to keep, to its last byte:
//
//   stream = *( comment / retry / block )
//   comment = ":" text LF            retry = "retry: " digits LF      (no blank line after these)
//   block = [ "event: " text LF ] 1*( "data: " text LF ) [ "id: " text LF ] LF
//
// So no block without data ever, no CR anywhere, and an end only after a whole line and block. A
// retry line may also stand inside a block of the gateway's own (`sluice.` types).
import assert from 'node:assert/strict';
import net from 'node:net';

export class StreamParser {
  constructor() {
    this.rest = '';
    this.events = []; // {type, data, id}; type is 'message' without an event line
    this.comments = 0;
    this.heartbeats = 0;
    this.retries = [];
    this.begin();
  }
  begin() {
    this.block = {type: null, data: [], id: null};
  }
  isInside() {
    return this.block.type !== null || this.block.data.length > 0 || this.block.id !== null;
  }

  push(text) {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop();
    for (const line of lines) this.line(line);
  }

  line(line) {
    const block = this.block;
    const say = `line ${JSON.stringify(line)} in block ${JSON.stringify(block)}`;
    assert.ok(!line.includes('\r') && !line.includes('\0'), `CR or NUL: ${say}`);
    if (line === '') {
      assert.ok(block.data.length > 0, `a blank line without data: ${say}`);
      this.events.push({type: block.type ?? 'message', data: block.data.join('\n'), id: block.id});
      this.begin();
    } else if (line.startsWith(':')) {
      assert.ok(!this.isInside(), `a comment inside a block: ${say}`);
      this.comments++;
      if (line === ':') this.heartbeats++;
    } else if (line.startsWith('retry: ')) {
      assert.match(line, /^retry: [0-9]+$/, say);
      assert.ok(
        !this.isInside() || (block.type ?? '').startsWith('sluice.'),
        `retry inside a block: ${say}`,
      );
      this.retries.push(Number(line.slice(7)));
    } else if (line.startsWith('event: ')) {
      assert.ok(!this.isInside(), `event line not first: ${say}`);
      block.type = line.slice(7);
    } else if (line.startsWith('data: ')) {
      assert.ok(block.id === null, `data after the id: ${say}`);
      block.data.push(line.slice(6));
    } else if (line.startsWith('id: ')) {
      assert.ok(block.data.length > 0 && block.id === null, `id line misplaced: ${say}`);
      block.id = line.slice(4);
    } else {
      assert.fail(`no line of the grammar: ${say}`);
    }
  }

  // The stream has ended here.
  end() {
    assert.equal(this.rest, '', 'the stream ends inside a line');
    assert.ok(!this.isInside(), `the stream ends inside a block: ${JSON.stringify(this.block)}`);
  }
}

export class Stream {
  constructor({
    port,
    path = '/stream',
    headers = {},
    version = '1.1',
    host = '127.0.0.1',
    isProxied = false,
  }) {
    this.parser = new StreamParser();
    this.raw = Buffer.alloc(0); // the first bytes, head included, up to 64 KiB
    this.head = null;
    this.status = 0;
    this.headers = {};
    this.fault = null;
    this.isEnd = false;
    this.isReset = false;
    this.isProxied = isProxied; // a proxy may send it chunked
    this.taken = 0;
    this.waiting = [];
    this.decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});
    this.socket = net.connect({port, host});
    const lines = Object.entries({
      Host: `127.0.0.1:${port}`,
      Accept: 'text/event-stream',
      ...headers,
    })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');
    this.socket.write(`GET ${path} HTTP/${version}\r\n${lines}\r\n`);
    this.socket.on('data', (chunk) => this.receive(chunk));
    this.socket.on('end', () => this.finish());
    this.socket.on('error', () => {
      this.isReset = true;
      this.isEnd = true;
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

  receive(chunk) {
    if (this.fault) return;
    try {
      if (this.raw.length < 65536) this.raw = Buffer.concat([this.raw, chunk]);
      if (this.head === null) {
        this.early = Buffer.concat([this.early ?? Buffer.alloc(0), chunk]);
        const end = this.early.indexOf('\r\n\r\n');
        if (end < 0) return;
        this.head = this.early.subarray(0, end).toString('latin1');
        const [first, ...lines] = this.head.split('\r\n');
        this.status = Number(first.split(' ')[1]);
        for (const line of lines) {
          this.headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line
            .slice(line.indexOf(':') + 1)
            .trim();
        }
        chunk = this.early.subarray(end + 4);
        this.early = null;
        if (!this.isProxied) {
          assert.equal(
            this.headers['transfer-encoding'],
            undefined,
            'a stream is delimited by its end',
          );
        }
      }
      if (this.headers['transfer-encoding'] === 'chunked') chunk = this.dechunk(chunk);
      if (this.status === 200) this.parser.push(this.decoder.decode(chunk, {stream: true}));
      if (this.isLastChunk) this.finish();
    } catch (error) {
      this.fault = error;
    }
    this.tell();
  }
  dechunk(bytes) {
    this.coded = Buffer.concat([this.coded ?? Buffer.alloc(0), bytes]);
    const parts = [];
    for (;;) {
      const line = this.coded.indexOf('\r\n');
      if (line < 0) break;
      const size = parseInt(this.coded.subarray(0, line).toString('latin1'), 16);
      if (this.coded.length < line + 2 + size + 2) break;
      if (size === 0) {
        this.isLastChunk = true;
        break;
      }
      parts.push(this.coded.subarray(line + 2, line + 2 + size));
      this.coded = this.coded.subarray(line + 2 + size + 2);
    }
    return Buffer.concat(parts);
  }
  finish() {
    if (this.isEnd) return;
    this.isEnd = true;
    try {
      if (!this.fault && this.status === 200) this.parser.end();
    } catch (error) {
      this.fault = error;
    }
    this.tell();
  }

  // Waits for `probe` to give something true; an end of the stream before that is a failure.
  async until(what, probe) {
    for (;;) {
      if (this.fault) throw this.fault;
      const value = probe();
      if (value) return value;
      if (this.isEnd) throw new Error(`the stream ended before: ${what} (head: ${this.head})`);
      await this.changed();
    }
  }
  async opened() {
    await this.until('its head', () => this.head !== null);
    assert.equal(this.status, 200, this.head);
    await this.until('sluice.open', () => this.parser.events.length > 0);
    this.open = this.parser.events[0];
    assert.equal(this.open.type, 'sluice.open');
    this.taken = 1;
    return this;
  }
  // The next event, the gateway's own included.
  async next() {
    await this.until(`event ${this.taken + 1}`, () => this.parser.events.length > this.taken);
    return this.parser.events[this.taken++];
  }
  async take(count) {
    const events = [];
    while (events.length < count) events.push(await this.next());
    return events;
  }
  heartbeats(count) {
    const goal = this.parser.heartbeats + count;
    return this.until(`${count} heartbeats`, () => this.parser.heartbeats >= goal);
  }
  async ended() {
    while (!this.isEnd) await this.changed();
    if (this.fault) throw this.fault;
  }
  check() {
    if (this.fault) throw this.fault;
  }
  close() {
    this.socket.destroy();
  }
}
