//! What the page shows when it could not start: what happened, and a way to try again. Without React, whose script may
//! be what is missing.

/** Replaces whatever is shown. */
export function showFailure(root: HTMLElement, error: unknown): void {
  const said = error instanceof Error ? error.message : String(error);
  const box = document.createElement('div');
  box.className = 'failed-start';
  box.setAttribute('role', 'alert');
  const reload = document.createElement('button');
  reload.type = 'button';
  reload.className = 'failed-start-button';
  reload.textContent = 'Reload';
  reload.addEventListener('click', () => location.reload());
  box.append(
    line('Threadmill could not start.'),
    line(said === '' ? 'The browser gave no reason.' : said),
    line('What was written is kept by the server, and what was not sent by this browser.'),
    reload,
  );
  root.replaceChildren(box);
}

function line(text: string): HTMLElement {
  const paragraph = document.createElement('p');
  paragraph.textContent = text;
  return paragraph;
}
