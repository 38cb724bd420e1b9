// EventSource for streams of sluice: tells gaps and refusals, comes back after every fault, keeps
// the last id over page loads, shares one connection among a browser's tabs (docs/browsers.md).
//
//   const stream = new Sluice('/stream?topic=news/*');
//   stream.onmessage = (event) => show(event.data);
//   stream.ongap = (event) => console.warn('missed', event.detail);
//
// How tabs share: the one that holds a Web Lock is the leader and alone has a connection; the
// others get its events over a BroadcastChannel, in its order. A tab that stands at another event
// than the leader catches up: it reads a connection of its own until both bring the same one.
(() => {
  const kOwnTypes = {'sluice.open': 'open', 'sluice.gap': 'gap', 'sluice.error': 'refused'};
  const kStates = {CONNECTING: 0, OPEN: 1, CLOSED: 2};
  const kSeenMax = 1000; // ids that a tab knows again
  const kHeldMax = 1000; // the leader's events kept while catching up
  const kQuietMs = 3000; // without an event: there is no more to catch up with
  const kWatchMs = 5000; // between two looks whether the leader is alive
  const kSilentMax = 3; // looks without an answer until its lock is taken
  const kSaveMs = 1000;
  const kRetryMaxMs = 30000;
  const isOwn = ({type}) => type.startsWith('sluice.') || type === 'error';

  class Sluice extends EventTarget {
    #options;
    #name; // of lock, channel and stored id
    #types = new Set(['message', 'sluice.mark', ...Object.keys(kOwnTypes)]); // of all tabs
    #page = new AbortController(); // ends the listeners to the page
    #isStopped = true; // frozen, in the back-forward cache, or not yet begun
    #seen = new Set(); // the last ids, oldest first
    #saveTimer = 0;
    #source = null; // the leader's connection, or one to catch up with
    #timer = 0; // connects again, or ends catching up
    #faults = 0; // in a row
    #channel = null;
    #turn = null; // gives the lock, or the wait for it, back
    #term = 0; // counts leaders: one that was frozen and wakes up is not listened to
    #isLeader = false;
    #isJoined = false; // knows where the leader stands
    #leaderId = '';
    #isSkipping = false; // what the leader brings, this tab may have
    #held = []; // from the leader, while catching up
    #silence = 0;
    #watchTimer = 0;

    constructor(url, options = {}) {
      super();
      const isFrom = /[?&]from=/.test(url); // asks for a start of its own, so an id would spoil it
      this.#options = {share: true, remember: !isFrom, rememberMs: 86400000, isFrom, ...options};
      this.url = new URL(url, globalThis.document?.baseURI ?? location.href).href.split('#')[0];
      this.withCredentials = Boolean(options.withCredentials);
      this.readyState = kStates.CONNECTING;
      this.lastEventId = '';
      this.#name = `sluice ${this.withCredentials ? 'with ' : ''}${this.url}`;
      this.#note(options.lastEventId ?? this.#recall());
      const {signal} = this.#page;
      const start = () => this.#start();
      const stop = () => this.#stop();
      globalThis.addEventListener('pagehide', stop, {signal});
      globalThis.addEventListener('pageshow', start, {signal});
      globalThis.document?.addEventListener('freeze', stop, {signal});
      globalThis.document?.addEventListener('resume', start, {signal});
      queueMicrotask(start); // listeners come first
    }

    addEventListener(type, ...rest) {
      super.addEventListener(type, ...rest);
      if (this.#listen(type)) this.#post({hello: [type]});
    }

    close() {
      this.readyState = kStates.CLOSED;
      this.#stop();
      this.#page.abort();
    }

    #start() {
      if (!this.#isStopped || this.readyState === kStates.CLOSED) return;
      this.#isStopped = false;
      this.#isJoined = false;
      try {
        if (this.#options.share && navigator.locks)
          this.#channel = new BroadcastChannel(this.#name);
      } catch {} // missing or forbidden
      if (!this.#channel) {
        this.#lead();
        return;
      }
      this.#channel.onmessage = ({data}) => this.#hear(data);
      this.#watchTimer = setInterval(() => this.#watch(), kWatchMs);
      this.#post({hello: [...this.#types]});
      this.#elect(false);
    }

    #stop() {
      if (this.#isStopped) return;
      this.#isStopped = true;
      this.#save();
      this.#disconnect();
      clearInterval(this.#watchTimer);
      this.#turn?.abort();
      this.#channel?.close();
      this.#turn = this.#channel = null;
      this.#isLeader = false;
      if (this.readyState === kStates.OPEN) this.readyState = kStates.CONNECTING;
    }

    // ---- One leader ----

    #elect(isSteal) {
      const turn = (this.#turn = new AbortController());
      const lead = () =>
        new Promise((giveBack) => {
          if (turn.signal.aborted) return giveBack();
          turn.signal.onabort = giveBack;
          this.#lead();
        });
      navigator.locks
        .request(this.#name, isSteal ? {steal: true} : {signal: turn.signal}, lead)
        .catch((error) => {
          if (this.#turn !== turn) return; // given back
          if (error.name !== 'AbortError') return this.#lead(); // forbidden: each tab for itself
          this.#stop(); // stolen, as this tab did not answer
          this.#start();
        });
    }

    #lead() {
      this.#isLeader = true;
      this.#term++;
      this.#held = [];
      if (!this.#source) {
        this.readyState = kStates.CONNECTING;
        this.#connect();
      }
      this.#tell();
    }

    // A browser may freeze the leader without telling it.
    #watch() {
      if (this.#isLeader || globalThis.document?.hidden) return;
      if (++this.#silence <= kSilentMax) return this.#post({hello: []});
      this.#silence = 0;
      const turn = this.#turn;
      this.#elect(true);
      turn.abort();
    }

    // ---- Between tabs: hello with types, from all; state and event, from the leader ----

    #post(words) {
      this.#channel?.postMessage({...words, term: this.#term});
    }

    #tell() {
      const {readyState, lastEventId: id} = this;
      this.#post({state: {readyState, id, types: [...this.#types]}});
    }

    #hear({hello, state, event, term}) {
      if (hello) {
        if (this.#isLeader) this.#tell(); // with the types it listened for until now
        hello.forEach((type) => this.#listen(type));
        return;
      }
      if (this.#isLeader || term < this.#term) return;
      if (term > this.#term) this.#isSkipping = true;
      this.#term = term;
      this.#silence = 0;
      if (state) this.#follow(state);
      else if (this.#isJoined) this.#receive(event); // else the state to come stands behind it
    }

    #follow({readyState, id, types}) {
      const isKnown = [...this.#types].every((type) => types.includes(type));
      types.forEach((type) => this.#listen(type));
      this.#leaderId = id;
      if (this.#source) return;
      const isNew = !this.#isJoined;
      this.#isJoined = true;
      if (!this.lastEventId && !(isNew && this.#options.isFrom)) {
        this.#note(id);
      } else if (!this.#seen.has(id) || (isNew && !isKnown)) {
        this.#connect(); // to catch up
        return;
      }
      if (readyState === this.readyState) return;
      this.readyState = readyState;
      if (readyState === kStates.OPEN) this.#fire('open', {id: this.lastEventId});
    }

    #receive(event) {
      if (!this.#source) {
        if (this.#isSkipping && !isOwn(event)) {
          if (this.#seen.has(event.id)) return;
          this.#isSkipping = false;
        }
        this.#give(event);
      } else if (!isOwn(event) && event.id === this.lastEventId) {
        this.#caughtUp([]);
      } else if (event.type !== 'error') {
        this.#held.push(event);
        if (this.#held.length > kHeldMax) this.#held.shift();
      }
    }

    // `rest` is what the leader sent since the event at which both met.
    #caughtUp(rest) {
      this.#disconnect();
      rest.forEach((event) => this.#give(event));
      this.#post({hello: []}); // for the leader's state
    }

    // ---- The connection ----

    #connect() {
      const id = encodeURIComponent(this.lastEventId);
      const start = id && `${this.url.includes('?') ? '&' : '?'}last_event_id=${id}`;
      const source = new EventSource(this.url + start, {withCredentials: this.withCredentials});
      this.#source = source;
      for (const type of this.#types) source.addEventListener(type, this.#onEvent);
      source.onerror = () => {
        if (source !== this.#source) return;
        clearTimeout(this.#timer);
        if (source.readyState === kStates.CLOSED) {
          const ms = Math.min(kRetryMaxMs, 1000 * 2 ** this.#faults++);
          this.#timer = setTimeout(() => this.#connect(), ms * (0.5 + Math.random() / 2));
        }
        this.#pass({type: 'error'});
      };
    }

    #disconnect() {
      clearTimeout(this.#timer);
      this.#source?.close();
      this.#source = null;
      this.#held = [];
    }

    #onEvent = ({target, type, data, lastEventId, origin}) => {
      if (target === this.#source) this.#pass({type, data, id: lastEventId, origin});
    };

    #pass(event) {
      if (this.#isLeader) this.#post({event});
      const source = this.#source;
      this.#give(event);
      if (this.#isLeader || source !== this.#source || event.type === 'error') return;
      const met = isOwn(event) ? -1 : this.#held.findIndex(({id}) => id === event.id);
      if (met >= 0) return this.#caughtUp(this.#held.slice(met + 1));
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        if (this.#isLeader || !this.#held.every(isOwn)) return;
        this.#seen.add(this.#leaderId);
        this.#isSkipping = true;
        this.#caughtUp(this.#held);
      }, kQuietMs);
    }

    #listen(type) {
      if (type === 'open' || type === 'error' || this.#types.has(type)) return false;
      this.#types.add(type);
      this.#source?.addEventListener(type, this.#onEvent);
      return true;
    }

    // ---- In this tab ----

    #give({type, data, id, origin}) {
      if (this.readyState === kStates.CLOSED) return;
      if (type === 'error') {
        this.readyState = kStates.CONNECTING;
        this.dispatchEvent(new Event('error'));
        return;
      }
      this.#note(id);
      if (type === 'sluice.open') {
        this.readyState = kStates.OPEN;
        this.#faults = 0;
      }
      if (kOwnTypes[type]) this.#fire(kOwnTypes[type], JSON.parse(data));
      this.dispatchEvent(new MessageEvent(type, {data, lastEventId: id, origin}));
    }

    #fire(type, detail) {
      this.dispatchEvent(new CustomEvent(type, {detail}));
    }

    #note(id) {
      if (!id) return;
      this.lastEventId = id;
      this.#seen.delete(id);
      this.#seen.add(id);
      if (this.#seen.size > kSeenMax) this.#seen.delete(this.#seen.values().next().value);
      if (this.#options.remember) this.#saveTimer ||= setTimeout(() => this.#save(), kSaveMs);
    }

    // Storage may be forbidden or full: the page then forgets.
    #save() {
      clearTimeout(this.#saveTimer);
      this.#saveTimer = 0;
      if (!this.#options.remember || !this.lastEventId) return;
      const place = JSON.stringify({id: this.lastEventId, time: Date.now()});
      for (const kind of ['sessionStorage', 'localStorage']) {
        try {
          globalThis[kind].setItem(this.#name, place);
        } catch {}
      }
    }

    // What this tab had last, else what any did.
    #recall() {
      if (!this.#options.remember) return '';
      for (const kind of ['sessionStorage', 'localStorage']) {
        try {
          const {id, time} = JSON.parse(globalThis[kind].getItem(this.#name));
          if (Date.now() - time < this.#options.rememberMs) return id;
        } catch {}
      }
      return '';
    }
  }

  for (const [name, value] of Object.entries(kStates)) {
    Sluice[name] = Sluice.prototype[name] = value;
  }
  for (const type of ['open', 'message', 'error', 'gap', 'refused']) {
    const handlers = new WeakMap();
    Object.defineProperty(Sluice.prototype, 'on' + type, {
      get() {
        return handlers.get(this) ?? null;
      },
      set(handler) {
        if (!handlers.has(this))
          this.addEventListener(type, (e) => handlers.get(this)?.call(this, e));
        handlers.set(this, typeof handler === 'function' ? handler : null);
      },
    });
  }

  globalThis.Sluice = Sluice;
})();
