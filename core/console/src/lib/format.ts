// Times and numbers as people read them.

export function clockTime(seconds: number, zone: string, language: string): string {
  const date = new Date(seconds * 1000);
  const locale = language === 'vi' ? 'vi-VN' : 'en-GB';
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

export function count(n: number, language: string): string {
  return new Intl.NumberFormat(language === 'vi' ? 'vi-VN' : 'en-GB').format(n);
}

export function bitrate(bits: number | null): string {
  if (bits === null) return '–';
  return bits >= 1e6 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bits / 1e3)} kbit/s`;
}

export function milliseconds(ms: number | null): string {
  return ms === null ? '–' : `${Math.round(ms)} ms`;
}

export function bytes(count: number): string {
  return count >= 1 << 20 ? `${(count / (1 << 20)).toFixed(1)} MiB` : `${Math.round(count / 1024)} KiB`;
}
