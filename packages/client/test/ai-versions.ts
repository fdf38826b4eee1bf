//! The AI SDK in its versions 5, 6 and 7, as npm has them installed beneath the hooks of each version, and a chat of each
//! that holds its messages in memory.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Sdk from 'ai';

export type Version = 5 | 6 | 7;
export type Ai = typeof Sdk & {
  readonly WebSocketChatTransport: new (options: object) => Sdk.ChatTransport<Sdk.UIMessage>;
};

/** The version's `ai`: not the one that a bare import finds. */
export async function load(version: Version): Promise<Ai> {
  const hooks = createRequire(import.meta.url).resolve(`ai-sdk-react-${version}/package.json`);
  const manifest = createRequire(hooks).resolve('ai/package.json');
  const { exports, version: installed } = JSON.parse(await readFile(manifest, 'utf8'));
  if (!installed.startsWith(`${version}.`)) throw new Error(`This is ai ${installed}, not ${version}.`);
  const file = join(dirname(manifest), exports['.'].import);
  return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Ai;
}

export class Memory implements Sdk.ChatState<Sdk.UIMessage> {
  status: Sdk.ChatStatus = 'ready';
  error: Error | undefined;
  messages: Sdk.UIMessage[];

  constructor(messages: Sdk.UIMessage[]) {
    this.messages = messages;
  }

  pushMessage = (message: Sdk.UIMessage) => {
    this.messages = [...this.messages, message];
  };

  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };

  replaceMessage = (index: number, message: Sdk.UIMessage) => {
    this.messages = this.messages.with(index, structuredClone(message));
  };

  snapshot = <T>(value: T): T => structuredClone(value);
}

/** A chat of a version, unchanged but for where its messages are. */
export function chatOf(
  ai: Ai,
  id: string,
  transport: Sdk.ChatTransport<Sdk.UIMessage>,
  messages: Sdk.UIMessage[] = [],
): Sdk.AbstractChat<Sdk.UIMessage> {
  class Chat extends ai.AbstractChat<Sdk.UIMessage> {}
  return new Chat({ id, state: new Memory(messages), transport });
}
