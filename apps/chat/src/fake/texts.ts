//! Invented conversations for the fake client. Development only.

import type { Row } from './contract';

const PARAGRAPHS = [
  'A lease is a lock that forgets. Whoever holds it may write until the time is up, and every write carries a number that only grows, so that a writer who slept through the end cannot spoil what came after.',
  'Start with the **soil**: squeeze a handful. If it holds its shape and crumbles when you poke it, you are close to loam; if it *smears*, there is clay, and `compost` is the answer.',
  'Here is the shape of it:\n\n```rust\nfn settle(anchor: &Anchor, top: f64) -> f64 {\n    // The row being read stays where it is.\n    let delta = top - anchor.offset;\n    if delta.abs() < 0.01 { 0.0 } else { delta }\n}\n```\n\nand the caller adds it to the scroll offset.',
  '| part | holds | survives |\n|---|---|---|\n| log | changes | everything |\n| page | messages | a restart |\n| tail | chunks | *nothing* |',
  '1. Feed the starter in the evening.\n2. In the morning:\n   - mix flour and water\n   - wait half an hour\n3. Add salt, fold four times.\n\n> Time does the work; you only keep it company.',
  '- [x] measure\n- [ ] cut\n- [ ] measure again, see [the notes](https://example.com/notes)',
];

/** `count` messages of a thread. */
export function history(thread: string, count: number): Row[] {
  return Array.from({ length: count }, (_, depth) => {
    const user = depth % 2 === 0;
    const seed = (depth * 2654435761) >>> 0;
    const text = user
      ? ([
          'How do leases work?',
          'And in practice?',
          'Show me the code, and say why it is enough to compare two numbers.',
        ][seed % 3] ?? '')
      : Array.from({ length: 1 + (seed % 4) }, (_, i) => PARAGRAPHS[(seed + i * 7) % PARAGRAPHS.length]).join(
          '\n\n',
        );
    return {
      id: `${thread}-m${depth}`,
      role: user ? ('user' as const) : ('assistant' as const),
      parts: [{ type: 'text', text: `${text}` }],
      status: depth === count - 3 ? ('interrupted' as const) : ('complete' as const),
      depth,
      branch: 'main',
      rev: 0,
      createdAt: Date.now() - (count - depth) * 60_000,
      ...(depth % 6 === 4
        ? {
            fork: {
              index: 1,
              total: 3,
              previous: { branch: 'a', message: 'x' },
              next: { branch: 'b', message: 'y' },
            },
          }
        : {}),
    };
  });
}

/** An answer of about 600 tokens. */
export function* answer(prompt: string): Generator<string> {
  const text = [`You said: ${prompt}`, ...PARAGRAPHS, ...PARAGRAPHS].join('\n\n');
  for (const token of text.match(/\s*\S{1,6}/g) ?? []) yield token;
}
