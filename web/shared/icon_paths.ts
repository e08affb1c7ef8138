/** Icons. Each appears next to a text with the same meaning, or in a button with a label. */

export const ICON_PATHS = {
  ok: 'M3.5 8.5l3 3 6-7',
  warn: 'M8 5v4M8 11.500v.1M8 1.800l6.5 11.700H1.500z',
  bad: 'M5.5 5.500l5 5M10.5 5.500l-5 5M8 1.500a6.5 6.5 0 100 13 6.5 6.5 0 000-13z',
  none: 'M4 8h8',
  waiting: 'M8 1.500a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM8 4.500V8l2.5 1.5',
  running: 'M5 3.500l7.5 4.500L5 12.500z',
  deferred: 'M5.5 3.500v9M10.5 3.500v9',
  close: 'M4 4l8 8M12 4l-8 8',
  sun: 'M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.500A6 6 0 016.5 2.500a6 6 0 107 7z',
  system: 'M2 3h12v8H2zM6 14h4M8 11v3',
  signOut: 'M6 2.500H2.500v11H6M10.5 11.500L14 8l-3.5-3.500M14 8H6',
  plus: 'M8 3v10M3 8h10',
  send: 'M8 13V3M3.5 7.500L8 3l4.5 4.500',
  stop: 'M4.500 4.500h7v7h-7z',
  edit: 'M3 13l.7-3L11 2.700l2.300 2.300L6 12.300z',
  repeat: 'M13 8a5 5 0 11-1.500-3.500L13 6M13 2.500V6H9.500',
  menu: 'M2.500 4.500h11M2.500 8h11M2.500 11.500h11',
  attach: 'M13 7.500l-5.300 5.300a3.200 3.200 0 01-4.500-4.500L8.700 2.800a2.100 2.100 0 013 3L6.300 11.200a1 1 0 01-1.500-1.500L9.500 5',
  pulse: 'M1.500 8h3l2-5 3 10 2-5h3',
  code: 'M5.500 4L1.500 8l4 4M10.500 4l4 4-4 4',
  copy: 'M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3',
  trash: 'M3 4.500h10M6 4.500V3h4v1.500M4.500 4.500l.5 8.500h6l.5-8.500',
  search: 'M7 2.500a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.5 10.500l3 3',
} as const;

export type IconName = keyof typeof ICON_PATHS;
