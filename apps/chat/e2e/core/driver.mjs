//! What the core checks need of a browser, so that they speak the same way to Chromium (Playwright) and to Firefox
//! (Puppeteer, over WebDriver BiDi).

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

const VIEW = { width: 1280, height: 800 };
/** Milliseconds. */
const PATIENCE = 180_000;

/** What two kinds of pages have in common. */
class Tab {
  complaints = [];

  constructor(page, base) {
    this.page = page;
    this.base = base;
    page.on('pageerror', error => this.complaints.push(error.message));
    page.on('console', message => {
      if (message.type() === 'error') this.complaints.push(message.text());
    });
  }

  open(path) {
    return this.page.goto(this.base + path, { waitUntil: 'load' });
  }

  reload() {
    return this.page.reload({ waitUntil: 'load' });
  }

  evaluate(run, argument) {
    return this.page.evaluate(run, argument);
  }

  /** Replaces what is in a field, as typing does. */
  fill(selector, text) {
    return this.page.evaluate(
      ([selector, text]) => {
        const field = document.querySelector(selector);
        field.focus();
        Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(field, text);
        field.dispatchEvent(new InputEvent('input', { bubbles: true }));
      },
      [selector, text],
    );
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  click(selector) {
    return this.page.evaluate(selector => document.querySelector(selector).click(), selector);
  }

  /** Comes to the front: a page that is not seen shows nothing new. */
  show() {
    return this.page.bringToFront();
  }

  close() {
    return this.page.close();
  }
}

class ChromiumTab extends Tab {
  async wheel(pixels) {
    await this.page.mouse.move(700, 400);
    await this.page.mouse.wheel(0, pixels);
  }
}

class FirefoxTab extends Tab {
  async wheel(pixels) {
    await this.page.mouse.move(700, 400);
    await this.page.mouse.wheel({ deltaY: pixels });
  }
}

/** Chromium. As root it has no sandbox to offer. */
async function launchChromium() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  return {
    name: 'Chromium',
    /** Tabs that share what a browser keeps. */
    async profile() {
      const context = await browser.newContext({ viewport: VIEW });
      return {
        tab: async base => new ChromiumTab(await context.newPage(), base),
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}

/** Firefox, with a profile of its own. */
async function launchFirefox() {
  const userDataDir = await mkdtemp(join(tmpdir(), 'threadmill-firefox-'));
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    // A busy machine starts it slowly, and that is no fault of the page.
    timeout: PATIENCE,
    protocolTimeout: PATIENCE,
    userDataDir,
    defaultViewport: VIEW,
  });
  return {
    name: 'Firefox',
    async profile() {
      const context = await browser.createBrowserContext();
      return {
        tab: async base => new FirefoxTab(await context.newPage(), base),
        close: () => context.close(),
      };
    },
    async close() {
      await browser.close();
      await rm(userDataDir, { recursive: true, force: true });
    },
  };
}

export const BROWSERS = { chromium: launchChromium, firefox: launchFirefox };
