// What the page shows: which page, which layout, which theme. Kept between visits.

import { MediaQuery } from 'svelte/reactivity';
import { addressOf, placeOf, type Place } from './address';

export const LAYOUTS = [0, 1, 4, 9, 16] as const;
export type Layout = (typeof LAYOUTS)[number];
export type Theme = 'dark' | 'light';

function storedLayout(): Layout {
  const number = Number(localStorage.getItem('taimat.layout') ?? '0');
  return LAYOUTS.find((l) => l === number) ?? 0;
}

function storedTheme(): Theme {
  const stored = localStorage.getItem('taimat.theme');
  if (stored === 'dark' || stored === 'light') return stored;
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
}

class View {
  /** The page that is shown. */
  place = $state.raw<Place>(placeOf(location.hash));
  /** `commune/camera`, or null if no camera's page is shown. */
  camera = $derived(this.place.page === 'camera' ? this.place.camera : null);
  /** The commune that is shown; null is all of them. */
  shown: string | null = $derived.by(() => {
    const { place } = this;
    if (place.page === 'wall') return this.commune;
    return place.page === 'camera' ? (place.camera.split('/')[0] ?? null) : place.commune;
  });
  /** There is room for one column only. */
  phone = new MediaQuery('max-width: 640px');
  layout = $state<Layout>(storedLayout());
  theme = $state<Theme>(storedTheme());
  page = $state(0);
  commune = $state<string | null>(localStorage.getItem('taimat.commune'));
  focus = $state(0);
  keys = $state(false);
  muted = $state(true);
  /** Whether detections are drawn over the picture. */
  marks = $state(localStorage.getItem('taimat.marks') !== 'off');

  constructor() {
    document.documentElement.dataset.theme = this.theme;
    addEventListener('hashchange', () => this.#arrive(placeOf(location.hash)));
    this.#arrive(this.place);
  }

  #arrive(place: Place): void {
    this.place = place;
    if (place.page === 'events') sessionStorage.setItem('taimat.events', addressOf(place));
  }

  go = (place: Place): void => {
    location.hash = addressOf(place);
  };

  open = (camera: string): void => this.go({ page: 'camera', camera });

  /** Other filters: the same page at another address, which is no step to go back. */
  filter = (commune: string, search: string): void => {
    this.replace({ page: 'events', commune, search });
  };

  /** The same page at another moment, which is no step to go back. */
  replace = (place: Place): void => {
    history.replaceState(history.state, '', addressOf(place));
    this.#arrive(place);
  };

  /** To the list of events as it was left, else to the wall. */
  back = (): void => {
    const { place } = this;
    const left = placeOf(sessionStorage.getItem('taimat.events') ?? '');
    const same = left.page === 'events' && place.page === 'event' && left.commune === place.commune;
    if (place.page !== 'event') this.go({ page: 'wall' });
    else this.go(same ? left : { page: 'events', commune: place.commune, search: '' });
  };

  toggleMarks = (): void => {
    this.marks = !this.marks;
    localStorage.setItem('taimat.marks', this.marks ? 'on' : 'off');
  };

  setLayout = (layout: Layout): void => {
    this.layout = layout;
    this.page = 0;
    this.focus = 0;
    localStorage.setItem('taimat.layout', String(layout));
  };

  setCommune = (commune: string | null): void => {
    this.commune = commune;
    this.page = 0;
    this.focus = 0;
    if (commune) localStorage.setItem('taimat.commune', commune);
    else localStorage.removeItem('taimat.commune');
  };

  toggleTheme = (): void => {
    this.theme = this.theme === 'dark' ? 'light' : 'dark';
    document.documentElement.dataset.theme = this.theme;
    localStorage.setItem('taimat.theme', this.theme);
  };

  toggleFullscreen = (): void => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void document.documentElement.requestFullscreen().catch(() => undefined);
  };
}

export const view = new View();

/** Columns for `count` pictures of 16:9 so that they are as large as possible in a box. */
export function columnsFor(count: number, width: number, height: number): number {
  let best = { columns: 1, size: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.ceil(count / columns);
    const size = Math.min(width / columns, ((height / rows) * 16) / 9);
    if (size > best.size * 1.001) best = { columns, size };
  }
  return best.columns;
}
