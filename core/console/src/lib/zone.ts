// Days and clocks of a commune's time zone. Pure.

const OPTIONS: Intl.DateTimeFormatOptions = {
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
  hourCycle: 'h23',
};
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en', { ...OPTIONS, timeZone: zone });
  } catch {
    format = new Intl.DateTimeFormat('en', OPTIONS);
  }
  formats.set(zone, format);
  return format;
}

/** What the clocks of a zone show at a time, as if it were UTC; both in ms since 1970. */
export function shownThere(ms: number, zone: string): number {
  const parts = Object.fromEntries(
    formatOf(zone)
      .formatToParts(ms)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** How far a zone's clocks are ahead of UTC, in ms. */
export function offsetAt(ms: number, zone: string): number {
  return shownThere(ms, zone) - Math.floor(ms / 1000) * 1000;
}

/** The day there, as a field for dates has it. */
export function dayThere(ms: number, zone: string): string {
  return new Date(shownThere(ms, zone)).toISOString().slice(0, 10);
}

/** The same time of day on another day, given as a field for dates has it; null if that is none. */
export function onDay(day: string, ms: number, zone: string): number | null {
  const wanted = Date.parse(`${day}T00:00:00Z`);
  if (!Number.isFinite(wanted)) return null;
  const there = shownThere(ms, zone);
  const ofDay = there - Math.floor(there / 86_400_000) * 86_400_000;
  const guess = wanted + ofDay - offsetAt(ms, zone);
  // Clocks may be changed in between.
  return guess + (wanted + ofDay - shownThere(guess, zone));
}

/** As a field for dates with times has it, to the second. */
export function fieldOf(ms: number, zone: string): string {
  return new Date(shownThere(ms, zone)).toISOString().slice(0, 19);
}

/** What such a field says; null if that is no time. */
export function ofField(text: string, zone: string): number | null {
  const wanted = Date.parse(`${text}${text.length === 16 ? ':00' : ''}Z`);
  if (!Number.isFinite(wanted)) return null;
  const guess = wanted - offsetAt(wanted, zone);
  return guess + (wanted - shownThere(guess, zone));
}
