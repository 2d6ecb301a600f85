// What the page shows: the wall or one camera, which layout, which theme. Kept between visits.

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

function cameraInAddress(): string | null {
  const match = /^#\/camera\/([a-z0-9-]+\/[a-z0-9-]+)$/.exec(location.hash);
  return match?.[1] ?? null;
}

function pluginsInAddress(): string | null {
  return /^#\/plugins\/([a-z0-9-]+)$/.exec(location.hash)?.[1] ?? null;
}

class View {
  /** `commune/camera`, or null for the wall. */
  camera = $state<string | null>(cameraInAddress());
  /** The commune whose plugins are shown, or null. */
  plugins = $state<string | null>(pluginsInAddress());
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
    addEventListener('hashchange', () => {
      this.camera = cameraInAddress();
      this.plugins = pluginsInAddress();
    });
  }

  open = (key: string): void => {
    location.hash = `#/camera/${key}`;
  };

  openPlugins = (commune: string): void => {
    location.hash = `#/plugins/${commune}`;
  };

  toggleMarks = (): void => {
    this.marks = !this.marks;
    localStorage.setItem('taimat.marks', this.marks ? 'on' : 'off');
  };

  back = (): void => {
    location.hash = '#/';
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
