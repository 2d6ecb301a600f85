// Times and numbers as people read them.

function localeOf(language: string): string {
  return language === 'vi' ? 'vi-VN' : 'en-GB';
}

export function clockTime(seconds: number, zone: string, language: string): string {
  const date = new Date(seconds * 1000);
  const locale = localeOf(language);
  const sameDay = Math.abs(Date.now() - date.getTime()) < 20 * 3600 * 1000;
  const options: Intl.DateTimeFormatOptions = sameDay
    ? { hour: '2-digit', minute: '2-digit' }
    : { day: '2-digit', month: '2-digit', hour: '2-digit', minute: '2-digit' };
  try {
    return new Intl.DateTimeFormat(locale, { ...options, hour12: false, timeZone: zone }).format(date);
  } catch {
    return new Intl.DateTimeFormat(locale, { ...options, hour12: false }).format(date);
  }
}

/** With its day and second: when something happened. */
export function exactTime(seconds: number, zone: string, language: string): string {
  const options: Intl.DateTimeFormatOptions = {
    day: '2-digit',
    month: '2-digit',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  };
  const locale = localeOf(language);
  const date = new Date(seconds * 1000);
  try {
    return new Intl.DateTimeFormat(locale, { ...options, timeZone: zone }).format(date);
  } catch {
    return new Intl.DateTimeFormat(locale, options).format(date);
  }
}

/** “3 minutes ago” for less than an hour, else the time of day. */
export function ago(seconds: number, now: number, zone: string, language: string): string {
  const past = Math.max(0, Math.round(now - seconds));
  if (past >= 3600) return clockTime(seconds, zone, language);
  const words = new Intl.RelativeTimeFormat(localeOf(language), { numeric: 'auto' });
  return past < 60 ? words.format(-past, 'second') : words.format(-Math.floor(past / 60), 'minute');
}

/** How long something lasted, in the unit that says most. */
export function duration(seconds: number, language: string): string {
  const units: [number, string][] = [
    [86_400, 'day'],
    [3600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  const [size, unit] = units.find(([size]) => seconds >= 2 * size) ?? [1, 'second'];
  const style: Intl.NumberFormatOptions = { style: 'unit', unit, unitDisplay: 'long' };
  return new Intl.NumberFormat(localeOf(language), style).format(Math.round(seconds / size));
}

/** Several names in a sentence. */
export function list(names: readonly string[], language: string): string {
  return new Intl.ListFormat(localeOf(language)).format(names);
}

export function count(n: number, language: string): string {
  return new Intl.NumberFormat(localeOf(language)).format(n);
}

export function bitrate(bits: number | null): string {
  if (bits === null) return '–';
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bits / 1e3)} kbit/s`;
}

export function milliseconds(ms: number | null): string {
  return ms === null ? '–' : `${Math.round(ms)} ms`;
}

export function bytes(count: number): string {
  if (count >= 1024 ** 4) return `${(count / 1024 ** 4).toFixed(2)} TiB`;
  if (count >= 1024 ** 3) return `${(count / 1024 ** 3).toFixed(1)} GiB`;
  return count >= 1 << 20 ? `${(count / (1 << 20)).toFixed(1)} MiB` : `${Math.round(count / 1024)} KiB`;
}
