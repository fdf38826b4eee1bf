//! An answer's chunks, one after the other, as AG-UI's events. Every message and every call that was begun is ended before
//! the run is, whatever the chunks do.

import { type AGUIEvent, EventType } from '@ag-ui/core';
import { resultOf, Segments, textOf } from './segments.js';

/** A chunk of the server's stream. */
export type Chunk = { readonly type: string; readonly [field: string]: unknown };

/** What says nothing to a client of AG-UI. */
const SILENT = new Set(['start-step', 'finish-step', 'text-end', 'reasoning-end']);

const word = (value: unknown): string => (typeof value === 'string' ? value : '');

export class Translation {
  readonly #thread: string;
  readonly #run: string;
  readonly #texts = new Map<string, string>();
  readonly #thoughts = new Map<string, string>();
  /** Calls whose input is not whole yet, and whether some of it came. */
  readonly #calls = new Map<string, boolean>();
  #message = 'answer';
  #segments = new Segments(this.#message);
  #status = '';
  #isOver = false;

  constructor(thread: string, run: string) {
    this.#thread = thread;
    this.#run = run;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  begin(): AGUIEvent {
    return { type: EventType.RUN_STARTED, threadId: this.#thread, runId: this.#run };
  }

  /** The events that a chunk is. */
  *of(chunk: Chunk): Generator<AGUIEvent> {
    if (this.#isOver) return;
    switch (chunk.type) {
      case 'start':
        return yield* this.#start(word(chunk.messageId));
      case 'data-threadmill-run':
        return yield* this.#isRun(chunk.data);
      case 'text-start':
        return yield* this.#text(word(chunk.id));
      case 'text-delta':
        return yield* this.#say(word(chunk.id), word(chunk.delta));
      case 'text-end':
        return yield* this.#endText(word(chunk.id));
      case 'reasoning-start':
        return yield* this.#think(word(chunk.id));
      case 'reasoning-delta':
        return yield* this.#thought(word(chunk.id), word(chunk.delta));
      case 'reasoning-end':
        return yield* this.#endThought(word(chunk.id));
      case 'tool-input-start':
        return yield* this.#call(word(chunk.toolCallId), word(chunk.toolName));
      case 'tool-input-delta':
        return yield* this.#input(word(chunk.toolCallId), word(chunk.inputTextDelta));
      case 'tool-input-available':
      case 'tool-input-error':
        return yield* this.#whole(chunk);
      case 'tool-output-available':
        return yield* this.#result(word(chunk.toolCallId), textOf(chunk.output));
      case 'tool-output-error':
        return yield* this.#result(word(chunk.toolCallId), word(chunk.errorText));
      case 'finish':
        return yield* this.#finish(word(chunk.finishReason));
      case 'abort':
        return yield* this.#end({ outcome: { type: 'cancelled' } });
      case 'error':
        return yield* this.fail('failed', word(chunk.errorText) || 'The answer failed.');
      default:
        if (!SILENT.has(chunk.type)) yield { type: EventType.CUSTOM, name: chunk.type, value: chunk };
    }
  }

  /** The run did not end well: the last event there is. */
  *fail(code: string, message: string): Generator<AGUIEvent> {
    if (this.#isOver) return;
    yield* this.#close();
    this.#isOver = true;
    yield { type: EventType.RUN_ERROR, code, message };
  }

  /** There is no answer, or all of it was said. */
  *done(): Generator<AGUIEvent> {
    if (!this.#isOver) yield* this.#end({ outcome: { type: 'success' } });
  }

  *#start(message: string): Generator<AGUIEvent> {
    if (!message || message === this.#message) return;
    yield* this.#close();
    this.#message = message;
    this.#segments = new Segments(message);
  }

  *#isRun(data: unknown): Generator<AGUIEvent> {
    const told = (data ?? {}) as { run?: unknown; message?: unknown; status?: unknown };
    this.#status = word(told.status);
    if (this.#status === 'live') yield { type: EventType.CUSTOM, name: 'threadmill-run', value: told };
  }

  *#text(chunk: string): Generator<AGUIEvent> {
    yield* this.#endText(chunk);
    const messageId = this.#segments.text();
    this.#texts.set(chunk, messageId);
    yield { type: EventType.TEXT_MESSAGE_START, messageId, role: 'assistant' };
  }

  *#say(chunk: string, delta: string): Generator<AGUIEvent> {
    if (!this.#texts.has(chunk)) yield* this.#text(chunk);
    const messageId = this.#texts.get(chunk) ?? '';
    if (delta) yield { type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta };
  }

  *#endText(chunk: string): Generator<AGUIEvent> {
    const messageId = this.#texts.get(chunk);
    this.#texts.delete(chunk);
    if (messageId !== undefined) yield { type: EventType.TEXT_MESSAGE_END, messageId };
  }

  *#think(chunk: string): Generator<AGUIEvent> {
    yield* this.#endThought(chunk);
    const messageId = this.#segments.reasoning();
    this.#thoughts.set(chunk, messageId);
    yield { type: EventType.REASONING_START, messageId };
    yield { type: EventType.REASONING_MESSAGE_START, messageId, role: 'reasoning' };
  }

  *#thought(chunk: string, delta: string): Generator<AGUIEvent> {
    if (!this.#thoughts.has(chunk)) yield* this.#think(chunk);
    const messageId = this.#thoughts.get(chunk) ?? '';
    if (delta) yield { type: EventType.REASONING_MESSAGE_CONTENT, messageId, delta };
  }

  *#endThought(chunk: string): Generator<AGUIEvent> {
    const messageId = this.#thoughts.get(chunk);
    this.#thoughts.delete(chunk);
    if (messageId === undefined) return;
    yield { type: EventType.REASONING_MESSAGE_END, messageId };
    yield { type: EventType.REASONING_END, messageId };
  }

  *#call(toolCallId: string, toolCallName: string): Generator<AGUIEvent> {
    if (this.#calls.has(toolCallId)) return;
    this.#calls.set(toolCallId, false);
    const parentMessageId = this.#segments.call();
    yield { type: EventType.TOOL_CALL_START, toolCallId, toolCallName, parentMessageId };
  }

  *#input(toolCallId: string, delta: string): Generator<AGUIEvent> {
    if (!this.#calls.has(toolCallId) || !delta) return;
    this.#calls.set(toolCallId, true);
    yield { type: EventType.TOOL_CALL_ARGS, toolCallId, delta };
  }

  *#whole(chunk: Chunk): Generator<AGUIEvent> {
    const toolCallId = word(chunk.toolCallId);
    yield* this.#call(toolCallId, word(chunk.toolName));
    if (!this.#calls.get(toolCallId)) yield* this.#input(toolCallId, textOf(chunk.input));
    this.#calls.delete(toolCallId);
    yield { type: EventType.TOOL_CALL_END, toolCallId };
    if (chunk.type === 'tool-input-error') yield* this.#result(toolCallId, word(chunk.errorText));
  }

  *#result(toolCallId: string, content: string): Generator<AGUIEvent> {
    if (this.#calls.delete(toolCallId)) yield { type: EventType.TOOL_CALL_END, toolCallId };
    const messageId = resultOf(toolCallId);
    yield { type: EventType.TOOL_CALL_RESULT, messageId, toolCallId, content, role: 'tool' };
  }

  *#finish(finishReason: string): Generator<AGUIEvent> {
    if (this.#status === 'interrupted')
      return yield* this.fail('interrupted', 'The answer was interrupted; what was said of it stays.');
    yield* this.#end({ outcome: { type: 'success' }, ...(finishReason && { result: { finishReason } }) });
  }

  *#end(how: {
    outcome: { type: 'success' } | { type: 'cancelled' };
    result?: unknown;
  }): Generator<AGUIEvent> {
    yield* this.#close();
    this.#isOver = true;
    yield { type: EventType.RUN_FINISHED, threadId: this.#thread, runId: this.#run, ...how };
  }

  *#close(): Generator<AGUIEvent> {
    for (const chunk of [...this.#texts.keys()]) yield* this.#endText(chunk);
    for (const chunk of [...this.#thoughts.keys()]) yield* this.#endThought(chunk);
    for (const toolCallId of this.#calls.keys()) yield { type: EventType.TOOL_CALL_END, toolCallId };
    this.#calls.clear();
  }
}
