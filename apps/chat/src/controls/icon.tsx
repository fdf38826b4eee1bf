//! The page's icons: strokes on a 20 by 20 grid, in the colour of the text.
//!
//! Room `controls`: small things that several rooms show or do: icons, buttons, dialogs, focus, keys. They know no
//! thread and no message.

const PATHS = {
  plus: 'M10 4v12M4 10h12',
  search: 'M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12zM13.5 13.5 17 17',
  menu: 'M3 6h14M3 10h14M3 14h9',
  close: 'M5 5l10 10M15 5 5 15',
  send: 'M10 16V4M5 9l5-5 5 5',
  stop: 'M5.5 5.5h9v9h-9zM6 7h8M6 8.5h8M6 10h8M6 11.5h8M6 13h8',
  copy: 'M7 7V4.5A1.5 1.5 0 0 1 8.500 3h7A1.500 1.500 0 0 1 17 4.500v7a1.500 1.500 0 0 1-1.500 1.500H13M4.500 7h7A1.500 1.500 0 0 1 13 8.500v7a1.500 1.500 0 0 1-1.500 1.500h-7A1.500 1.500 0 0 1 3 15.500v-7A1.500 1.500 0 0 1 4.500 7z',
  check: 'M4 10.500l4 4 8-9',
  edit: 'M12.500 4.500l3 3L7 16H4v-3zM11 6l3 3',
  trash: 'M4 6h12M8 6V4h4v2M5.500 6l.8 10.500h7.400L14.500 6M8.500 9v5M11.500 9v5',
  again: 'M16 5v4h-4M15.600 9A6 6 0 1 0 16 11.500',
  down: 'M10 4v12M5 11l5 5 5-5',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  sun: 'M10 13.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.300 4.300l1.100 1.100M14.600 14.600l1.100 1.100M4.300 15.700l1.100-1.100M14.600 5.400l1.100-1.100',
  moon: 'M16.500 11.500A7 7 0 0 1 8.500 3.500a7 7 0 1 0 8 8z',
  auto: 'M3.500 4.500h13v9h-13zM7.500 17h5M10 13.500V17',
  good: 'M6.500 9v7.500H3.500V9zM6.500 9.500 9.500 3a2 2 0 0 1 2 2v3h4l-1 8.500h-8',
  bad: 'M6.500 11V3.500H3.500V11zM6.500 10.500 9.500 17a2 2 0 0 0 2-2v-3h4l-1-8.500h-8',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  link: 'M8.500 11.500a3 3 0 0 0 4.300 0l2.500-2.500a3 3 0 0 0-4.300-4.300l-.9.9M11.500 8.500a3 3 0 0 0-4.300 0l-2.500 2.500A3 3 0 0 0 9 15.300l.9-.9',
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** An icon; decoration only, the control around it has the name. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The sign of the page, as in `favicon.svg`; an image of its own would be a document of its own to the browser. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
      <rect width="32" height="32" rx="9" fill="#2c6e63" />
      <g fill="none" stroke="#fff" strokeWidth="2.4" strokeLinecap="round">
        <path d="M8 11.5h16" />
        <path d="M8 16h11" opacity=".8" />
        <path d="M8 20.5h14" opacity=".6" />
      </g>
    </svg>
  );
}
