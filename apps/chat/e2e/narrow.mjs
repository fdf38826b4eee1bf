//! Names that nothing breaks on the narrowest page, and at 400 %: no element is wider than the page.

import { api, threadWith } from './api.mjs';
import { check, must } from './checks.mjs';
import { openPage, rowsShown } from './page.mjs';

const NAME = 'internationalisierungskomitee'.repeat(12);

const PARTS = [
  {
    type: 'text',
    text: `\`${NAME}\` ${NAME}\n\n# ${NAME}\n\n- ${NAME}\n\n> ${NAME}\n\n![${NAME}](https://${'a'.repeat(60)}.example/x.png)`,
  },
  { type: 'text', text: `\`\`\`${NAME}\nlet ${NAME} = 1;\n\`\`\`\n\n|${NAME}|b|\n|-|-|\n|a|${NAME}|` },
  {
    type: 'dynamic-tool',
    toolName: NAME,
    toolCallId: 'a',
    state: 'output-error',
    input: {},
    errorText: NAME,
  },
  { type: `tool-${NAME}`, toolCallId: 'b', state: 'output-available', input: { [NAME]: NAME }, output: NAME },
  { type: `data-${NAME}`, data: NAME },
  { type: 'file', mediaType: 'text/plain', filename: NAME, url: `https://a.example/${NAME}` },
  { type: 'file', mediaType: 'image/png', filename: NAME, url: 'https://a.example/a.png' },
  { type: 'source-url', sourceId: 's', url: `https://a.example/${NAME}`, title: NAME },
  { type: 'reasoning', text: NAME },
];

/** What is wider than the page, but for what scrolls by itself or ends in dots. Runs in the page. */
function wide() {
  const width = document.documentElement.clientWidth;
  const isCut = element => element.closest('.md-table, pre, .visually-hidden, .sidebar') !== null;
  const found = [...document.querySelectorAll('body *')]
    .filter(element => !isCut(element) && element.getBoundingClientRect().right > width + 1)
    .map(element => `${element.tagName.toLowerCase()}.${element.className}`);
  const scroller = document.querySelector('.scroller');
  if (scroller && scroller.scrollWidth > scroller.clientWidth) found.push('the list scrolls sideways');
  return found.slice(0, 5);
}

const SIZES = {
  'at 320 pixels': { viewport: { width: 320, height: 640 } },
  // What a screen of 1280 by 800 is at 400 %.
  'at 400 %': { viewport: { width: 320, height: 200 } },
};

export async function narrowChecks(browser) {
  const threadId = await threadWith(NAME, NAME.slice(0, 300));
  await api('POST', `/threads/${threadId}/messages`, { role: 'assistant', parts: PARTS });
  for (const [name, size] of Object.entries(SIZES)) {
    await check(`${name}: names of 348 letters widen nothing`, async () => {
      const page = await openPage(browser, `/t/${threadId}`, size);
      await rowsShown(page);
      await page.waitForSelector('.md table');
      for (const summary of await page.$$('summary')) await summary.evaluate(element => element.click());
      const found = await page.evaluate(wide);
      must(found.length === 0, found.join(', '));
      await page.context().close();
    });
  }
  await api('DELETE', `/threads/${threadId}`);
}
