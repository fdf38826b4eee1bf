//! The tabs of one browser that show one thread: are they led by one, do they show what the server has, and did any
//! of them ever show anything else?

import { must, until } from '../checks.mjs';
import { bars, openTab } from './browser.mjs';

/** Milliseconds between looks at the server's count of connections. */
const LOOK = 20;

export class Family {
  pages = [];

  constructor(context, server, { user, url = server.url, drawing = 'drawn' }) {
    Object.assign(this, { context, server, user, url, drawing });
  }

  /** `count` tabs on a new thread, all of them live. */
  static async of(context, server, count, options) {
    const family = new Family(context, server, options);
    family.threadId = await server.thread(options.user, 'Tabs');
    while (family.pages.length < count) await family.join();
    await family.settle();
    return family;
  }

  /** One tab more. */
  async join(path) {
    const page = await openTab(this.context, this.url, { user: this.user, tabs: this.tabs ?? 'auto' }, path);
    await bars(page, 'show', this.threadId, this.drawing);
    this.pages.push(page);
    return page;
  }

  /** The page is not one of the family any more. */
  leave(page) {
    this.pages = this.pages.filter(other => other !== page);
  }

  async settle() {
    await until('all tabs to be live', async () => {
      const states = await Promise.all(this.pages.map(page => bars(page, 'status')));
      const ready = await Promise.all(this.pages.map(page => bars(page, 'state', this.threadId)));
      return (
        states.every(status => status.connection === 'live') && ready.every(state => state.source === 'live')
      );
    });
  }

  /** The tabs by their role. */
  async roles() {
    const roles = { leader: [], follower: [], solo: [] };
    for (const page of this.pages) roles[(await bars(page, 'status')).role].push(page);
    return roles;
  }

  async leader() {
    return until('one leader', async () => {
      const { leader } = await this.roles();
      return leader.length === 1 ? leader[0] : undefined;
    });
  }

  /** Counts the user's connections on the server until told to stop. */
  watch() {
    const seen = { most: 0, least: Number.POSITIVE_INFINITY, looks: 0 };
    let on = true;
    const looking = (async () => {
      while (on) {
        const count = await this.server.connections(this.user);
        seen.most = Math.max(seen.most, count);
        seen.least = Math.min(seen.least, count);
        seen.looks += 1;
        await new Promise(done => setTimeout(done, LOOK));
      }
    })();
    return async () => {
      on = false;
      await looking;
      return seen;
    };
  }

  /** Sends a question from `page`; resolves with the answer's id when every tab shows some of it. */
  async ask(page, text, provider = 'replay') {
    await bars(page, 'send', this.threadId, { text, run: true, provider });
    return until('the answer in every tab', async () => {
      const all = await Promise.all(this.pages.map(page => bars(page, 'state', this.threadId)));
      const writing = all.map(({ rows }) =>
        rows.find(row => row.status === 'streaming' && row.text.length > 60),
      );
      return writing.every(Boolean) ? writing[0].id : undefined;
    });
  }

  /** Waits for the end of the answer in every tab. */
  async ended(id) {
    await until(
      'the end of the answer in every tab',
      async () => {
        const all = await Promise.all(this.pages.map(page => bars(page, 'state', this.threadId)));
        return all.every(({ rows }) => rows.find(row => row.id === id)?.status === 'complete');
      },
      60_000,
    );
  }

  /** Every tab shows what the server has, and never showed of the answer what is no beginning of it. */
  async agree(answerId) {
    const { messages } = await this.server.tip(this.threadId, this.user);
    const expected = [];
    for (const { id, depth } of messages) {
      expected.push({ id, depth, text: await this.server.text(this.threadId, id, this.user) });
    }
    const final = expected.find(row => row.id === answerId)?.text ?? '';
    const judged = [];
    for (const [at, page] of this.pages.entries()) {
      const { rows, faults } = await bars(page, 'state', this.threadId);
      must(faults.length === 0, `tab ${at}: ${faults.join(', ')}`);
      const shown = rows.map(({ id, depth, text }) => ({ id, depth, text }));
      must(JSON.stringify(shown) === JSON.stringify(expected), `tab ${at} differs from the server`);
      const judgement = await bars(page, 'judge', answerId, final);
      const { steps, wrong, shorter, text } = judgement;
      must(steps > 1, `tab ${at} saw nothing of the answer grow`);
      must(wrong < 0, `tab ${at} showed a gap or a doubled token at step ${wrong}: …${text.slice(-60)}`);
      must(shorter < 0, `tab ${at} lost text it had shown, at step ${shorter}`);
      must(page.complaints.length === 0, page.complaints.join(' | '));
      judged.push(judgement);
    }
    // A page without a screen is now and then given a frame a second alone: the quickest tab says how long the
    // connection was away.
    const silences = judged.map(({ silence }) => Math.round(silence));
    const silence = `longest silence ${Math.min(...silences)} ms (${Math.max(...silences)} ms in the slowest tab)`;
    return { letters: final.length, silence };
  }
}
