//! Scripts that run in a page before its own: they watch or change what the browser gives it.

/**
 * Notes when the leader was given a frame by its socket, and when a follower was done with it. A frame is told by the
 * bytes posted, which hold a count and so are never the same twice.
 *
 * Beside that, the control: messages of the same size on a channel that nobody else uses, which a follower sends back at
 * once. What half of their way takes is what this browser on this machine needs in any case.
 */
export function watchFrames() {
  const noted = { posted: [], heard: [] };
  const now = () => performance.timeOrigin + performance.now();
  const nameOf = bytes => {
    let hash = 0x811c9dc5;
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
    return `${bytes.length}:${hash >>> 0}`;
  };
  let received;
  const wrap = (prototype, around) => {
    const real = Object.getOwnPropertyDescriptor(prototype, 'onmessage');
    Object.defineProperty(prototype, 'onmessage', {
      ...real,
      set(handler) {
        real.set.call(this, handler && (event => around(() => handler.call(this, event), event)));
      },
    });
  };
  wrap(WebSocket.prototype, handle => {
    received = now();
    handle();
    received = undefined;
  });
  wrap(BroadcastChannel.prototype, (handle, { data }) => {
    handle();
    if (data instanceof Uint8Array) noted.heard.push([nameOf(data), now()]);
  });
  const post = BroadcastChannel.prototype.postMessage;
  BroadcastChannel.prototype.postMessage = function (data) {
    if (received !== undefined && data instanceof Uint8Array) {
      noted.posted.push([nameOf(data), received, data.length]);
    }
    post.call(this, data);
  };
  const asked = new Map();
  const found = [];
  let asking;
  window.__frames = {
    take: () => ({ posted: noted.posted.splice(0), heard: noted.heard.splice(0) }),
    /** Sends back at once what is asked of this name. */
    echo: name => {
      const channel = new BroadcastChannel(`echo ${name}`);
      channel.addEventListener('message', ({ data: [at] }) => channel.postMessage([at, now()]));
    },
    /**
     * Asks the pages of these names, in turn and each `pace` milliseconds, whether or not the last was answered: else
     * a page that stands still for long would count once, and its frames many times.
     */
    begin: (names, size, pace) => {
      const channels = names.map(name => {
        const channel = new BroadcastChannel(`echo ${name}`);
        channel.addEventListener('message', ({ data: [at, theirs] }) => {
          const half = (now() - asked.get(at)) / 2;
          // It answered in the middle, if both ways are alike.
          found.push([name, half, theirs - (asked.get(at) + half)]);
          asked.delete(at);
        });
        return channel;
      });
      let at = 0;
      asking = setInterval(() => {
        at += 1;
        asked.set(at, now());
        channels[at % channels.length].postMessage([at, new Uint8Array(size)]);
      }, pace);
    },
    /** What was asked since then: `[name, half a round trip, how far ahead its clock is]` each. */
    end: async () => {
      clearInterval(asking);
      for (let wait = 0; asked.size > 0 && wait < 5_000; wait += 5)
        await new Promise(done => setTimeout(done, 5));
      return found.splice(0);
    },
  };
}

/** The server's flag for the sync engine seems off: the page takes the direct engine. */
export function flagOff() {
  const real = window.fetch;
  window.fetch = (input, init) => {
    if (!String(input?.url ?? input).endsWith('/v1/flags')) return real(input, init);
    const body = JSON.stringify({ rev: 1, flags: { 'scalable-sync': false } });
    return Promise.resolve(new Response(body, { headers: { 'content-type': 'application/json' } }));
  };
}

/** A page that gets five frames a second: the fault of the bar that wants fifteen. */
export function slowFrames() {
  window.requestAnimationFrame = callback => setTimeout(() => callback(performance.now()), 200);
}

/** Every fortieth message between tabs is lost on its way to this one. */
export function loseMessages() {
  const real = Object.getOwnPropertyDescriptor(BroadcastChannel.prototype, 'onmessage');
  let count = 0;
  window.__lost = 0;
  Object.defineProperty(BroadcastChannel.prototype, 'onmessage', {
    ...real,
    set(handler) {
      real.set.call(this, event => {
        count += 1;
        if (count % 40 === 0) window.__lost += 1;
        else handler.call(this, event);
      });
    },
  });
}
