//! Figures with their names, and any JSON as such figures where its shape is not the page's to know.

import type { ReactNode } from 'react';
import { amount } from '../words/format';
import { Table } from './table';

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

/** How deep JSON is looked into. */
const DEEP = 3;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `hotCommands` as words. */
export function wordsOf(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/_/g, ' ')
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function plain(value: unknown): string {
  if (typeof value === 'number') return amount(value, 'count');
  if (value === null || value === undefined || value === '') return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '–');
}

/** An object: its plain fields as figures, its lists of objects as tables. */
export function AnyFacts({ value, name, depth = 0 }: { value: unknown; name: string; depth?: number }) {
  if (!isObject(value)) return <p>{plain(value)}</p>;
  const entries = Object.entries(value);
  const isRows = (inner: unknown): inner is readonly unknown[] =>
    Array.isArray(inner) && inner.some(isObject);
  const facts = entries.filter(([, inner]) => !isRows(inner) && !(isObject(inner) && depth < DEEP));
  return (
    <>
      {facts.length > 0 && <FactList facts={facts.map(([key, inner]) => [wordsOf(key), plain(inner)])} />}
      {entries.map(([key, inner]) => {
        if (isRows(inner)) return <AnyTable key={key} name={wordsOf(key)} rows={inner.filter(isObject)} />;
        if (!isObject(inner) || depth >= DEEP) return null;
        return (
          <section key={key} className="inner">
            <h3>{wordsOf(key)}</h3>
            <AnyFacts value={inner} name={`${name} ${key}`} depth={depth + 1} />
          </section>
        );
      })}
    </>
  );
}

function AnyTable({ name, rows }: { name: string; rows: readonly Record<string, unknown>[] }) {
  const keys = [...new Set(rows.slice(0, 50).flatMap(Object.keys))].slice(0, 12);
  return (
    <section className="inner">
      <h3>{name}</h3>
      <Table<Record<string, unknown>>
        label={name}
        rows={rows}
        keyOf={(_, at) => String(at)}
        none="None."
        columns={keys.map(key => ({
          title: wordsOf(key),
          of: row => plain(row[key]),
          numeric: typeof rows[0]?.[key] === 'number',
        }))}
      />
    </section>
  );
}
