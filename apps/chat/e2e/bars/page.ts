//! The page of the bars: the client without React, and what it showed, written down so that a gap or a doubled token
//! cannot pass unseen. It is run as a script in an empty document of the server, where `window.__bars` drives it.

import {
  type Client,
  type ClientOptions,
  createClient,
  type Row,
  type SendInput,
  type ThreadHandle,
  type ThreadSnapshot,
} from '@threadmill/client';

/** The core, in base64: an empty document has no asset to load it from. */
declare const CORE: string;

/** Whether rows are written into the document. */
type Drawing = 'drawn' | 'unseen';

interface Shown {
  handle: ThreadHandle;
  list: HTMLElement | undefined;
  drawn: Map<string, { row: Row; place: HTMLElement }>;
  stop(): void;
}

/** What a stream's reader was shown: every text it had, and when. */
interface Seen {
  texts: string[];
  times: number[];
}

/** Milliseconds since 1970, finer than `Date.now`. */
const now = () => performance.timeOrigin + performance.now();

const textOf = (row: Row) =>
  row.parts
    .filter(part => part.type === 'text')
    .map(part => String(part.text))
    .join('');

class Bars {
  client: Client | undefined;
  readonly #shown = new Map<string, Shown>();
  readonly #seen = new Map<string, Seen>();
  readonly #faults: string[] = [];
  #visibility: DocumentVisibilityState | undefined;

  constructor() {
    const real = Object.getOwnPropertyDescriptor(Document.prototype, 'visibilityState');
    Object.defineProperty(document, 'visibilityState', {
      get: () => this.#visibility ?? real?.get?.call(document),
    });
  }

  async start(options: ClientOptions): Promise<void> {
    const bytes = Uint8Array.from(atob(CORE), letter => letter.charCodeAt(0));
    this.client = await createClient({ wasm: bytes, engine: 'sync', ...options });
  }

  /** Shows a thread and keeps looking at it. */
  show(threadId: string, drawing: Drawing): void {
    const handle = this.#client().thread(threadId);
    const list = drawing === 'drawn' ? document.createElement('div') : undefined;
    if (list) document.body.append(list);
    const shown: Shown = { handle, list, drawn: new Map(), stop: () => {} };
    const look = () => this.#look(threadId, shown, handle.getSnapshot());
    shown.stop = handle.subscribe(look);
    this.#shown.set(threadId, shown);
    look();
  }

  hide(threadId: string): void {
    const shown = this.#of(threadId);
    shown.stop();
    shown.list?.remove();
    shown.handle.release();
    this.#shown.delete(threadId);
  }

  /** As if the page were covered or uncovered: pages without a screen are always visible. */
  pretend(visibility: DocumentVisibilityState): void {
    this.#visibility = visibility;
    document.dispatchEvent(new Event('visibilitychange'));
  }

  send(threadId: string, input: SendInput) {
    return this.#client().send(threadId, input);
  }

  /** Milliseconds until the older page's rows are in the document, or in the snapshot if nothing is drawn. */
  async older(threadId: string): Promise<{ ms: number; added: number; hasOlder: boolean }> {
    const started = performance.now();
    const { added, hasOlder } = await this.#of(threadId).handle.loadOlder();
    return { ms: performance.now() - started, added, hasOlder };
  }

  /** Goes `pages` pages up. Gives up where the thread begins. */
  async climb(threadId: string, pages: number): Promise<number> {
    let climbed = 0;
    while (climbed < pages && (await this.older(threadId)).hasOlder) climbed += 1;
    return climbed;
  }

  status() {
    return this.#client().status.getSnapshot();
  }

  outbox() {
    return this.#client().outbox.getSnapshot();
  }

  /** Everything a check compares: the rows with the text that is shown of each, and what went wrong before. */
  state(threadId: string) {
    const { handle } = this.#of(threadId);
    const { status, source, rows, total, hasNewer } = handle.getSnapshot();
    const plain = rows.map(row => ({
      id: row.id,
      depth: row.depth,
      status: row.status,
      text: row.run ? handle.stream(row.id).text() : textOf(row),
      pending: row.outbox !== undefined,
    }));
    return { status, source, total, hasNewer, rows: plain, faults: this.#faults };
  }

  /** How what was shown of a message compares with its final text. */
  judge(messageId: string, final: string) {
    const { texts, times } = this.#seen.get(messageId) ?? { texts: [], times: [] };
    const wrong = texts.findIndex(text => !final.startsWith(text));
    const shorter = texts.findIndex((text, at) => at > 0 && text.length < (texts[at - 1]?.length ?? 0));
    // The model may take its time before the first word.
    const first = texts.findIndex(text => text !== '');
    const silences = times.map((time, at) => (at <= first ? 0 : time - (times[at - 1] ?? time)));
    return {
      steps: texts.length,
      wrong,
      shorter,
      silence: Math.max(0, ...silences),
      text: texts[wrong] ?? '',
    };
  }

  #client(): Client {
    if (!this.client) throw new Error('the page was not started');
    return this.client;
  }

  #of(threadId: string): Shown {
    const shown = this.#shown.get(threadId);
    if (!shown) throw new Error(`${threadId} is not shown`);
    return shown;
  }

  #look(threadId: string, shown: Shown, snapshot: ThreadSnapshot): void {
    const { rows } = snapshot;
    for (const [at, row] of rows.entries()) {
      const before = rows[at - 1];
      if (before && row.depth !== before.depth + 1) {
        this.#faults.push(`${threadId}: depth ${row.depth} after ${before.depth}`);
      }
      if (row.run && !this.#seen.has(row.id)) this.#follow(shown, row.id);
    }
    if (new Set(rows.map(row => row.id)).size !== rows.length) this.#faults.push(`${threadId}: a row twice`);
    if (shown.list) draw(shown.list, shown, rows);
  }

  #follow({ handle, drawn }: Shown, messageId: string): void {
    const seen: Seen = { texts: [], times: [] };
    this.#seen.set(messageId, seen);
    const note = (text: string) => {
      seen.texts.push(text);
      seen.times.push(now());
    };
    const place = () => drawn.get(messageId)?.place;
    handle.stream(messageId).attach({
      reset: text => {
        note(text);
        place()?.replaceChildren(text);
      },
      append: delta => {
        note((seen.texts.at(-1) ?? '') + delta);
        place()?.append(delta);
      },
      end: () => {},
    });
  }
}

/** Brings the document's rows in line: rows that are the same objects are left alone. */
function draw(list: HTMLElement, { drawn, handle }: Shown, rows: readonly Row[]): void {
  const held = new Set(rows.map(row => row.id));
  for (const [id, { place }] of drawn) {
    if (held.has(id)) continue;
    place.remove();
    drawn.delete(id);
  }
  let next: Element | null = list.firstElementChild;
  for (const row of rows) {
    const known = drawn.get(row.id);
    const place = known?.place ?? document.createElement('p');
    if (known?.row !== row) {
      place.dataset.row = row.id;
      place.replaceChildren(row.run ? handle.stream(row.id).text() : textOf(row));
      drawn.set(row.id, { row, place });
    }
    if (place !== next) list.insertBefore(place, next);
    else next = place.nextElementSibling;
  }
}

declare global {
  interface Window {
    __bars?: Bars;
  }
}

window.__bars = new Bars();
