//! A page of somebody else: the AI SDK's `useChat` as it comes, over a server whose address is in the page's own.

import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { createElement as element, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

const { server, chat } = Object.fromEntries(new URLSearchParams(location.search));

/** What was said before. An answer that is being written is brought by `resume`. */
async function history() {
  const response = await fetch(`${server}/v1/threads/${chat}/messages`);
  const { messages = [] } = await response.json();
  return messages.filter(({ status }) => status !== 'streaming');
}

const transport = new DefaultChatTransport({ api: `${server}/api/chat` });

function Chat({ messages: initial }) {
  const { messages, status, error, sendMessage } = useChat({
    id: chat,
    messages: initial,
    transport,
    resume: true,
  });
  const says = message => message.parts.map(part => (part.type === 'text' ? part.text : '')).join('');
  const ask = () => sendMessage({ text: 'rate:40 thoughts:5 words:120' });
  return element(
    'main',
    { 'data-status': status },
    messages.map(message => element('p', { key: message.id, className: message.role }, says(message))),
    element('output', null, error?.message ?? ''),
    element('button', { type: 'button', onClick: ask }, 'Ask'),
  );
}

createRoot(document.body.appendChild(document.createElement('div'))).render(
  element(StrictMode, null, element(Chat, { messages: await history() })),
);
