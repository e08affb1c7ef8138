/** Icons. Each appears next to a text with the same meaning. */

const paths = {
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
  search: 'M7 2.500a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.5 10.500l3 3',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
