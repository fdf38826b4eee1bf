//! The transport's own words against the AI SDK's types: this file has to compile, and nothing more.

import type { UIMessageChunk as SdkChunk, ChatTransport as SdkTransport, UIMessage } from 'ai';
import { expect, expectTypeOf, it } from 'vitest';
import { type ChatTransport, createChatTransport, type UIMessageChunk } from '../src/ai-sdk/index.js';
import type { Client } from '../src/words/types.js';

it('is a transport as the AI SDK types it', () => {
  const make = (client: Client) => createChatTransport(client) satisfies SdkTransport<UIMessage>;
  expectTypeOf(make).returns.toExtend<SdkTransport<UIMessage>>();
  expectTypeOf<ChatTransport>().toExtend<SdkTransport<UIMessage<{ tokens: number }>>>();
  expectTypeOf<UIMessageChunk>().toExtend<SdkChunk>();
  expect(make).toThrow();
});
