/** Formats numbers, durations and times. */

const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export const NONE = '–';

export function count(number: number): string {
  return whole.format(Math.round(number));
}

/** A rate with two significant digits. */
export function rate(number: number): string {
  if (number === 0) return '0';
  if (number < 0.01) return '<0.01';
  return number < 10 ? String(+number.toPrecision(2)) : count(number);
}

export function percent(part: number): string {
  const value = part * 100;
  return `${value > 0 && value < 10 ? +value.toPrecision(2) : Math.round(value)} %`;
}

/** A duration: 12 ms, 3.4 s, 5 m 02 s, 3 h 10 m, 2 d 4 h. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${two(Math.floor(seconds) % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${two(minutes % 60)} m` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A duration in whole seconds, so that a running counter does not flicker. */
export function age(milliseconds: number): string {
  return milliseconds < 10_000 ? `${Math.max(0, Math.floor(milliseconds / 1000))} s` : duration(milliseconds);
}

export function bytes(number: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const step = number < 1 ? 0 : Math.min(Math.floor(Math.log2(number) / 10), units.length - 1);
  const value = number / 1024 ** step;
  return `${value < 10 && step > 0 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}

export function time(at: number): string {
  return clock.format(at);
}

export function dateTime(at: number): string {
  return date.format(at);
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}
