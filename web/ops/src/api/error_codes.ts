/** The meaning of a failed run's error code, and its remedy. */

import codes from './error_codes.json';

export interface ErrorDescription {
  meaning: string;
  remedy: string;
}

export function describeError(code: string): ErrorDescription {
  const known = Object.hasOwn(codes, code) ? codes[code as keyof typeof codes] : undefined;
  const [meaning = 'This page does not recognize the error code.', remedy = 'See docs/reference/errors.md.'] = known ?? [];
  return { meaning, remedy };
}
