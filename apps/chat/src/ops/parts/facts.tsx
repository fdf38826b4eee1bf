//! Figures with their names.

import type { ReactNode } from 'react';

/** A name and what stands under it. */
export type Fact = readonly [name: string, value: ReactNode];

export function FactList({ facts, className = 'facts' }: { facts: readonly Fact[]; className?: string }) {
  return (
    <dl className={className}>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
