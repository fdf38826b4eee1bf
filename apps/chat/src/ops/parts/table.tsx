//! A table that is a list of cards where the page is narrow. Roles are written out, since a browser forgets them when its
//! cells are laid out as blocks.

import type { ReactNode } from 'react';

interface Column<T> {
  readonly title: string;
  readonly of: (row: T) => ReactNode;
  /** Numbers stand to the right. */
  readonly numeric?: boolean;
  /** Takes what room is left. */
  readonly wide?: boolean;
}

interface TableProps<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T, at: number) => string;
  /** What is said where there is none. */
  readonly none: string;
  readonly more?: boolean;
}

export function Table<T>({ label, columns, rows, keyOf, none, more = false }: TableProps<T>) {
  if (rows.length === 0) return <p className="quiet">{none}</p>;
  return (
    <>
      {/* biome-ignore-start lint/a11y/noRedundantRoles: as blocks they would have none */}
      <table role="table" aria-label={label} className="table">
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ title, numeric, wide }) => (
              <th key={title} role="columnheader" scope="col" data-numeric={numeric} data-wide={wide}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row, at) => (
            <tr key={keyOf(row, at)} role="row">
              {columns.map(({ title, of, numeric, wide }) => (
                <td key={title} role="cell" data-title={title} data-numeric={numeric} data-wide={wide}>
                  <div>{of(row)}</div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {/* biome-ignore-end lint/a11y/noRedundantRoles: as above */}
      {more && <p className="quiet">There are more; these are the first {rows.length}.</p>}
    </>
  );
}
