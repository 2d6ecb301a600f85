// Which page an address is, and what the address of a page is.

export type Place =
  | { page: 'wall' }
  /** `camera` is `commune/camera`. */
  | { page: 'camera'; camera: string }
  | { page: 'plugins'; commune: string }
  | { page: 'targets'; commune: string }
  /** `search` has the filters, as in an address. */
  | { page: 'events'; commune: string; search: string }
  | { page: 'event'; commune: string; event: string };

const PATTERN = /^#\/(camera|plugins|targets|events|event)\/([a-z0-9-]+)(?:\/([a-z0-9-]+))?(\?.*)?$/;

/** The page of an address; one that is none is the wall. */
export function placeOf(hash: string): Place {
  const [, page, commune = '', second, search = ''] = PATTERN.exec(hash) ?? [];
  if (page === 'camera' && second && !search) return { page, camera: `${commune}/${second}` };
  if (page === 'event' && second && !search) return { page, commune, event: second };
  if ((page === 'plugins' || page === 'targets') && !second && !search) return { page, commune };
  if (page === 'events' && !second) return { page, commune, search };
  return { page: 'wall' };
}

export function addressOf(place: Place): string {
  switch (place.page) {
    case 'wall':
      return '#/';
    case 'camera':
      return `#/camera/${place.camera}`;
    case 'plugins':
    case 'targets':
      return `#/${place.page}/${place.commune}`;
    case 'events':
      return `#/events/${place.commune}${place.search}`;
    case 'event':
      return `#/event/${place.commune}/${place.event}`;
  }
}
