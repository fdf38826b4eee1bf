//! What a reader sees of the open thread. The functions run in the page.

/** The rows, top to bottom. */
export function rows() {
  return [...document.querySelectorAll('.row[data-row]')].map(row => ({
    id: row.dataset.row,
    status: row.dataset.status,
    depth: Number(row.dataset.depth),
    role: row.classList.contains('row-user') ? 'user' : 'assistant',
    text: row.querySelector('.body')?.innerText ?? '',
  }));
}

/** The text of the last answer, without what is no letter or digit: how Markdown is laid out does not matter. */
export function answer() {
  const body = [...document.querySelectorAll('.row-assistant .body')].at(-1);
  return (body?.innerText ?? '').replace(/[^\p{L}\p{N}]/gu, '');
}

/** The status of the last answer, and how often its text was another in `frames` frames. */
export async function motion(frames) {
  const text = () => [...document.querySelectorAll('.row-assistant .body')].at(-1)?.textContent ?? '';
  let [last, changes] = [text(), 0];
  for (let frame = 0; frame < frames; frame += 1) {
    await new Promise(requestAnimationFrame);
    if (text() !== last) changes += 1;
    last = text();
  }
  return changes;
}

/** The parts of the last answer in the order of the page: thoughts, tools by name, and text. */
export function order() {
  const body = [...document.querySelectorAll('.row-assistant .body')].at(-1);
  const parts = [...(body?.querySelectorAll(':scope > .md, :scope > .folded') ?? [])];
  return parts
    .map(part => {
      if (part.classList.contains('md')) return part.textContent.trim() === '' ? '' : 'text';
      const title = part.querySelector('summary')?.firstChild?.textContent ?? '';
      return /^(Thinking|Reasoning)/.test(title) ? 'thoughts' : title;
    })
    .filter(kind => kind !== '');
}

/** Where a text is on the page, in pixels from the top of the view: its first letter. */
export function topOf(text) {
  const body = [...document.querySelectorAll('.row-assistant .body')].at(-1);
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const at = node.data.indexOf(text);
    if (at < 0) continue;
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    return range.getBoundingClientRect().top;
  }
  return undefined;
}
