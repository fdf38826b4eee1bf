//! What a reader of one answer has been given, and what it lacks of the message as it is now: chunks are passed on
//! while they come, and made of the message's parts where some were missed.

import type { Part } from '../words/types.js';
import type { UIMessageChunk } from './types.js';

type Kind = 'text' | 'reasoning';

interface Text {
  readonly kind: Kind;
  readonly id: string;
  text: string;
  open: boolean;
}

/** How far a tool call is. */
const STATES: ReadonlyMap<string, number> = new Map([
  ['input-streaming', 1],
  ['input-available', 2],
  ['output-available', 3],
  ['output-error', 3],
]);

export class Progress {
  /** In the order of the message's parts. */
  readonly #texts: Text[] = [];
  readonly #calls = new Map<string, number>();
  /** Parts that come whole. */
  readonly #wholes = new Set<string>();
  #steps = 0;
  #inStep = false;

  /** The chunk goes on to the reader; false if it is one that only the transport itself sends. */
  pass(chunk: UIMessageChunk): boolean {
    switch (chunk.type) {
      case 'start':
      case 'finish':
      case 'abort':
      case 'error':
        return false;
      case 'text-start':
      case 'reasoning-start':
        this.#texts.push({ kind: kindOf(chunk.type), id: chunk.id, text: '', open: true });
        return true;
      case 'text-delta':
      case 'reasoning-delta': {
        const text = this.#openText(kindOf(chunk.type), chunk.id);
        if (text) text.text += chunk.delta;
        return text !== undefined;
      }
      case 'text-end':
      case 'reasoning-end': {
        const text = this.#openText(kindOf(chunk.type), chunk.id);
        if (text) text.open = false;
        return text !== undefined;
      }
      default:
        this.#record(chunk);
        return true;
    }
  }

  /** The chunks that bring the reader to these parts. */
  catchUp(parts: readonly Part[]): UIMessageChunk[] {
    const missing: UIMessageChunk[] = [];
    let [texts, steps] = [0, 0];
    for (const part of parts) {
      if (part.type === 'text' || part.type === 'reasoning') {
        missing.push(...this.#text(part.type, part, texts++));
      } else if (part.type === 'step-start') {
        if (steps++ >= this.#steps) missing.push(...this.#leaveStep(), ...this.#took({ type: 'start-step' }));
      } else if (part.type === 'dynamic-tool' || part.type.startsWith('tool-')) {
        missing.push(...this.#call(part));
      } else {
        missing.push(...this.#whole(part));
      }
    }
    return missing;
  }

  /** The answer is complete: what is still open ends. */
  close(): UIMessageChunk[] {
    const ends = this.#texts.filter(text => text.open).flatMap(text => this.#end(text));
    return [...ends, ...this.#leaveStep()];
  }

  #openText(kind: Kind, id: string): Text | undefined {
    return this.#texts.findLast(text => text.open && text.kind === kind && text.id === id);
  }

  #record(chunk: UIMessageChunk): void {
    if (chunk.type === 'start-step') {
      this.#steps += 1;
      this.#inStep = true;
    }
    if (chunk.type === 'finish-step') this.#inStep = false;
    if ('toolCallId' in chunk) this.#calls.set(chunk.toolCallId, rankOf(chunk.type));
    const key = keyOf(chunk);
    if (key !== undefined) this.#wholes.add(key);
  }

  #took(chunk: UIMessageChunk): UIMessageChunk[] {
    this.pass(chunk);
    return [chunk];
  }

  #leaveStep(): UIMessageChunk[] {
    return this.#inStep ? this.#took({ type: 'finish-step' }) : [];
  }

  #end(text: Text): UIMessageChunk[] {
    return this.#took({ type: `${text.kind}-end`, id: text.id });
  }

  #text(kind: Kind, part: Part, index: number): UIMessageChunk[] {
    const chunks: UIMessageChunk[] = [];
    const whole = String(part.text ?? '');
    if (this.#texts.length <= index) {
      const id = typeof part.id === 'string' ? part.id : `part-${index}`;
      chunks.push(...this.#took({ type: `${kind}-start`, id }));
    }
    const text = this.#texts[index];
    if (!text?.open) return chunks;
    // A part that a window cut short has less than the reader: there is nothing to add.
    if (whole.length > text.text.length && whole.startsWith(text.text)) {
      const delta = whole.slice(text.text.length);
      chunks.push(...this.#took({ type: `${kind}-delta`, id: text.id, delta }));
    }
    if (part.state !== 'streaming') chunks.push(...this.#end(text));
    return chunks;
  }

  #call(part: Part): UIMessageChunk[] {
    const toolCallId = String(part.toolCallId);
    const state = String(part.state);
    const [had, has] = [this.#calls.get(toolCallId) ?? 0, STATES.get(state) ?? 0];
    const dynamic = part.type === 'dynamic-tool';
    const toolName = dynamic ? String(part.toolName) : part.type.slice('tool-'.length);
    const call = { toolCallId, ...(dynamic ? { dynamic } : {}) };
    const chunks: UIMessageChunk[] = [];
    if (had < 1 && has === 1) chunks.push({ type: 'tool-input-start', toolName, ...call });
    if (had < 2 && has >= 2)
      chunks.push({ type: 'tool-input-available', toolName, input: part.input, ...call });
    if (had < 3 && has === 3) {
      const failed = state === 'output-error';
      const errorText = String(part.errorText ?? '');
      if (failed) chunks.push({ type: 'tool-output-error', errorText, ...call });
      else chunks.push({ type: 'tool-output-available', output: part.output, ...call });
    }
    return chunks.flatMap(chunk => this.#took(chunk));
  }

  /** Files, sources and data look the same as a part and as a chunk. */
  #whole(part: Part): UIMessageChunk[] {
    const chunk = part as unknown as UIMessageChunk;
    const key = keyOf(chunk);
    return key === undefined || this.#wholes.has(key) ? [] : this.#took(chunk);
  }
}

function kindOf(type: string): Kind {
  return type.startsWith('text') ? 'text' : 'reasoning';
}

function rankOf(type: UIMessageChunk['type']): number {
  if (type.startsWith('tool-output') || type === 'tool-input-error') return 3;
  return type === 'tool-input-available' ? 2 : 1;
}

/** What tells one whole part from another; none for what is no such part. */
function keyOf(chunk: UIMessageChunk): string | undefined {
  switch (chunk.type) {
    case 'file':
      return `file ${chunk.url}`;
    case 'source-url':
    case 'source-document':
      return `source ${chunk.sourceId}`;
    default:
      return 'data' in chunk ? `${chunk.type} ${chunk.id ?? ''} ${JSON.stringify(chunk.data)}` : undefined;
  }
}
