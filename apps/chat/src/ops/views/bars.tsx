//! A spread over buckets, as bars with their shares: a list, so that it is read as it is seen.

import { amount, type Unit } from '../words/format';

interface BarsProps {
  readonly title: string;
  readonly buckets: readonly string[];
  readonly values: readonly number[];
  readonly unit: Unit;
  /** Whether the buckets are parts of one whole, so that shares of it say something. */
  readonly parts: boolean;
}

export function Bars({ title, buckets, values, unit, parts }: BarsProps) {
  const all = values.reduce((a, b) => a + b, 0);
  const most = Math.max(1, ...values);
  return (
    <figure className="graph spread">
      <figcaption>
        <h3>{title}</h3>
      </figcaption>
      <ul>
        {buckets.map((bucket, at) => {
          const value = values[at] ?? 0;
          return (
            <li key={bucket}>
              <span className="spread-name">{bucket}</span>
              <span className="spread-bar" aria-hidden="true">
                {value > 0 && <span style={{ width: `${(100 * value) / most}%` }} />}
              </span>
              <span className="spread-value">
                {amount(value, unit)}
                {parts && <span className="quiet"> {amount(all > 0 ? value / all : null, 'share')}</span>}
              </span>
            </li>
          );
        })}
      </ul>
    </figure>
  );
}
