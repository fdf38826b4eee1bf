//! Where on the page the reader is: the part of the address after `#`, so that each place can be linked to and Back works.

import { useSyncExternalStore } from 'react';

/** The sections, in the order of the menu. */
export const SECTIONS = [
  { id: 'now', title: 'Now' },
  { id: 'threads', title: 'Threads' },
  { id: 'runs', title: 'Runs' },
  { id: 'trace', title: 'Trace' },
  { id: 'connections', title: 'Connections' },
  { id: 'locks', title: 'Locks' },
  { id: 'hot', title: 'Hot tier' },
  { id: 'nodes', title: 'Nodes' },
  { id: 'rollout', title: 'Rollout' },
  { id: 'analytics', title: 'Analytics' },
  { id: 'budgets', title: 'Budgets' },
  { id: 'errors', title: 'Errors' },
  { id: 'audit', title: 'Audit' },
] as const;

export type SectionId = (typeof SECTIONS)[number]['id'];

/** A section, and what in it. */
export interface Place {
  readonly section: SectionId;
  readonly rest: readonly string[];
}

export function parsePlace(hash: string): Place {
  const [name = '', ...rest] = hash.replace(/^#\/?/, '').split('/').map(decoded);
  const section = SECTIONS.find(({ id }) => id === name)?.id ?? 'now';
  return { section, rest: section === name ? rest.filter(part => part !== '') : [] };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a place. */
export function addressOf(section: SectionId, ...rest: readonly string[]): string {
  return `#/${[section, ...rest].map(encodeURIComponent).join('/')}`;
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}

export function usePlace(): Place {
  return parsePlace(useSyncExternalStore(subscribe, () => location.hash));
}
