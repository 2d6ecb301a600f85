// What the router says about a commune's plugins, asked for every two seconds while the page is open.

import type { components } from './api';
import { get, NO_ANSWER, refusal, type Refused } from './ask';
import { inTurn, repeat } from './repeat';
import { type Setting, settings } from './settings';

export type Plugin = components['schemas']['PluginStatus'];
export type Line = components['schemas']['Line'];
/** What a file would be as a plugin, before it is loaded. */
export type Review = components['schemas']['Review'];

const POLL_MS = 2000;
export class Plugins {
  list = $state.raw<Plugin[]>([]);
  known = $state(false);
  /** The plugin whose log and settings are shown. */
  opened = $state<string | null>(null);
  log = $state.raw<Line[]>([]);
  /** What it can be told in `commune.toml`. */
  settings = $state.raw<Setting[]>([]);
  /** What the last change was refused with, by plugin. */
  refused = $state.raw<Record<string, Refused>>({});

  /** The file that was chosen and waits for a word. */
  reviewed = $state.raw<{ plugin: string; file: File; review: Review } | null>(null);

  constructor(readonly commune: string) {}

  #path(plugin = ''): string {
    return `/api/v1/communes/${this.commune}/plugins${plugin && `/${plugin}`}`;
  }

  // In turn: an answer from before a change does not take the place of one from after it.
  poll = inTurn(async (): Promise<void> => {
    const response = await get(this.#path());
    if (!response?.ok) return;
    this.list = (await response.json()) as Plugin[];
    this.known = true;
    await this.#pollOpened();
  });

  async #pollOpened(): Promise<void> {
    const plugin = this.opened;
    if (plugin === null) return;
    const response = await get(this.#path(plugin));
    if (!response?.ok) return;
    const view = (await response.json()) as components['schemas']['PluginView'];
    // Another one may have been opened in the meantime.
    if (this.opened !== plugin) return;
    this.log = view.log;
    this.settings = settings(view.settings_schema);
  }

  open = (plugin: string): void => {
    this.opened = this.opened === plugin ? null : plugin;
    this.log = [];
    this.settings = [];
    void this.#pollOpened();
  };

  enable = async (plugin: string, enabled: boolean): Promise<void> => {
    await this.#change(plugin, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ enabled }),
    });
  };

  /** Asks what the file would be; `load` puts it there. */
  review = async (plugin: string, file: File): Promise<void> => {
    this.reviewed = null;
    const response = await this.#ask(plugin, `${this.#path(plugin)}/review`, {
      method: 'POST',
      headers: { 'content-type': 'application/wasm' },
      body: file,
    });
    if (response) this.reviewed = { plugin, file, review: (await response.json()) as Review };
  };

  load = async (): Promise<void> => {
    const chosen = this.reviewed;
    this.reviewed = null;
    if (!chosen) return;
    await this.#change(chosen.plugin, {
      method: 'PUT',
      headers: { 'content-type': 'application/wasm' },
      body: chosen.file,
    });
  };

  dismiss = (): void => {
    this.reviewed = null;
  };

  async #change(plugin: string, request: RequestInit): Promise<void> {
    await this.#ask(plugin, this.#path(plugin), request);
    await this.poll();
  }

  /** The answer, or nothing and `refused`. */
  async #ask(plugin: string, path: string, request: RequestInit): Promise<Response | null> {
    const response = await fetch(path, request).catch(() => null);
    const why = response === null ? NO_ANSWER : response.ok ? null : await refusal(response);
    const { [plugin]: _, ...rest } = this.refused;
    this.refused = why === null ? rest : { ...rest, [plugin]: why };
    return why === null ? response : null;
  }

  start = (): (() => void) => repeat(this.poll, POLL_MS);
}
