// A server of event streams that does what it is told: history with ids, gaps, statuses, cut
// connections. It stands in for the gateway where a test needs a fault at a moment of its choosing,
// counts connections, and serves /sluice.js with a page that notes all that a Sluice says.
import {readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const kSluiceJs = readFileSync(
  join(dirname(fileURLToPath(import.meta.url)), '../../web/sluice.js'),
  'utf8',
);

// Notes {type, data, id, detail} of each event in `seen`. The query: url, options (JSON), types;
// `hurry` makes what is done every few seconds come soon.
const kPage = `<!doctype html><title>tab</title><link rel="icon" href="data:,">
<script src="/sluice.js"></script>
<script>
  const query = new URLSearchParams(location.search);
  const seen = [];
  let stream = null;
  function open(url, options) {
    stream = new Sluice(url, options);
    for (const type of ['message', 'open', 'gap', 'refused', 'error', ...query.getAll('type')])
      stream.addEventListener(type, (event) =>
        seen.push({type, data: event.data, id: event.lastEventId, detail: event.detail}));
  }
  if (query.has('hurry')) {
    const setRealInterval = setInterval;
    window.setInterval = (call, ms) => setRealInterval(call, ms / 50);
  }
  if (query.has('url')) open(query.get('url'), JSON.parse(query.get('options')));
</script>`;

export class ScriptedStream {
  history = []; // {id, type, data}
  evictedId = ''; // the newest that is gone
  streams = new Set(); // open ones
  requests = []; // of streams: {path, query, header}
  mostStreams = 0;
  status = 200;
  refusal = null; // {error, message}
  retryMs = 100;
  published = 0;

  static async start(scene) {
    const script = new ScriptedStream();
    Object.assign(script, await scene.server((request, reply) => script.answer(request, reply)));
    return script;
  }

  // The address of the page that opens `url` with these options.
  page(url = '/stream', options = {}, {host, types = [], more = ''} = {}) {
    const query = new URLSearchParams({url, options: JSON.stringify(options)});
    for (const type of types) query.append('type', type);
    const origin = host ? `http://${host}:${this.port}` : this.origin;
    return `${origin}/page?${query}${more}`;
  }

  answer(request, reply) {
    const url = new URL(request.url, this.origin);
    reply.setHeader('Access-Control-Allow-Origin', '*');
    if (url.pathname === '/sluice.js') {
      reply.setHeader('Content-Type', 'text/javascript; charset=utf-8');
      reply.end(kSluiceJs);
    } else if (url.pathname === '/stream') {
      this.stream(request, reply, url.searchParams);
    } else {
      reply.setHeader('Content-Type', 'text/html; charset=utf-8');
      reply.end(this.other?.(url) || kPage);
    }
  }

  stream(request, reply, query) {
    const header = request.headers['last-event-id'] ?? '';
    this.requests.push({query, header});
    if (this.status !== 200) {
      reply.statusCode = this.status;
      reply.end();
      return;
    }
    reply.setHeader('Content-Type', 'text/event-stream');
    reply.setHeader('Cache-Control', 'no-store');
    reply.write(`:ok\nretry: ${this.retryMs}\n`);
    if (this.refusal) {
      reply.end(`event: sluice.error\ndata: ${JSON.stringify(this.refusal)}\n\n`);
      return;
    }
    this.streams.add(reply);
    this.mostStreams = Math.max(this.mostStreams, this.streams.size);
    reply.on('close', () => this.streams.delete(reply));
    const after = header || query.get('last_event_id') || '';
    const place = this.history.findIndex(({id}) => id === after);
    let begin = this.history.length;
    if (place >= 0) begin = place + 1;
    else if (after && after === this.evictedId) begin = 0;
    else if (!after && query.has('from')) begin += Math.max(Number(query.get('from')), -begin);
    const isGap = after !== '' && place < 0 && after !== this.evictedId;
    if (isGap) begin = 0;
    const startId = this.history[begin - 1]?.id ?? this.evictedId;
    this.write(reply, {type: 'sluice.open', data: JSON.stringify({id: startId}), id: startId});
    if (isGap) {
      const gap = {reason: 'evicted', after, first: null, last: this.evictedId};
      this.write(reply, {type: 'sluice.gap', data: JSON.stringify(gap), id: this.evictedId});
    }
    for (const event of this.history.slice(begin)) this.write(reply, event);
  }

  write(reply, {type, data, id}) {
    const lines = [`data: ${data}`];
    if (type !== 'message') lines.unshift(`event: ${type}`);
    if (id) lines.push(`id: ${id}`);
    reply.write(lines.join('\n') + '\n\n');
  }

  // Data is the number of the event.
  publish(count = 1, type = 'message') {
    for (let i = 0; i < count; i++) {
      const n = ++this.published;
      const event = {type, data: String(n), id: `e-${n}`};
      this.history.push(event);
      for (const reply of this.streams) this.write(reply, event);
    }
    return this.published;
  }
  // Forgets all but the newest `kept`.
  evict(kept) {
    this.evictedId = this.history.at(-1 - kept)?.id ?? this.evictedId;
    this.history = kept ? this.history.slice(-kept) : [];
  }
  cut() {
    for (const reply of this.streams) reply.destroy();
  }
}
