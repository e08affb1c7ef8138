/** What a failed run's code means, and what an operator does about it. */

import codes from './codes.json';

export interface Meaning {
  means: string;
  remedy: string;
}

export function meaning(code: string): Meaning {
  const known = Object.hasOwn(codes, code) ? codes[code as keyof typeof codes] : undefined;
  const [means = 'A failure of a kind that this page does not know.', remedy = 'See docs/reference/errors.md.'] = known ?? [];
  return { means, remedy };
}
