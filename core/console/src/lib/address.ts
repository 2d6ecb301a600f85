// Which page an address is, and what the address of a page is.

export type Place =
  | { page: 'wall' }
  /** `camera` is `commune/camera`; `at` a moment of the past, in ms since 1970. */
  | { page: 'camera'; camera: string; at?: number }
  /** Several cameras in step; none is those that were chosen last. */
  | { page: 'past'; commune: string; cameras: string[]; at?: number }
  | { page: 'storage'; commune: string }
  | { page: 'plugins'; commune: string }
  | { page: 'targets'; commune: string }
  /** `search` has the filters, as in an address. */
  | { page: 'events'; commune: string; search: string }
  | { page: 'event'; commune: string; event: string };

const PATTERN =
  /^#\/(camera|past|storage|plugins|targets|events|event)\/([a-z0-9-]+)(?:\/([a-z0-9-]+))?(\?.*)?$/;

function momentOf(search: string): number | undefined {
  const [, at] = /[?&]at=(\d{1,15})(?:&|$)/.exec(search) ?? [];
  return at === undefined || Number(at) === 0 ? undefined : Number(at);
}

/** The page of an address; one that is none is the wall. */
export function placeOf(hash: string): Place {
  const [, page, commune = '', second, search = ''] = PATTERN.exec(hash) ?? [];
  if (page === 'camera' && second) {
    const at = momentOf(search);
    if (at !== undefined || !search) return { page, camera: `${commune}/${second}`, ...(at && { at }) };
  }
  if (page === 'past' && !second) {
    const names = new URLSearchParams(search).get('cameras') ?? '';
    const cameras = names.split(',').filter((name) => /^[a-z0-9-]+$/.test(name));
    const at = momentOf(search);
    return { page, commune, cameras, ...(at && { at }) };
  }
  if (page === 'event' && second && !search) return { page, commune, event: second };
  if ((page === 'plugins' || page === 'targets' || page === 'storage') && !second && !search)
    return { page, commune };
  if (page === 'events' && !second) return { page, commune, search };
  return { page: 'wall' };
}

export function addressOf(place: Place): string {
  switch (place.page) {
    case 'wall':
      return '#/';
    case 'camera':
      return `#/camera/${place.camera}${place.at === undefined ? '' : `?at=${Math.round(place.at)}`}`;
    case 'past': {
      const search = [
        ...(place.cameras.length > 0 ? [`cameras=${place.cameras.join(',')}`] : []),
        ...(place.at === undefined ? [] : [`at=${Math.round(place.at)}`]),
      ];
      return `#/past/${place.commune}${search.length > 0 ? `?${search.join('&')}` : ''}`;
    }
    case 'plugins':
    case 'targets':
    case 'storage':
      return `#/${place.page}/${place.commune}`;
    case 'events':
      return `#/events/${place.commune}${place.search}`;
    case 'event':
      return `#/event/${place.commune}/${place.event}`;
  }
}
