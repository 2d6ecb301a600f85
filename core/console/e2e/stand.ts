// What a test needs beside the browser: GStreamer's camera, the router's binary, a commune's folder.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Locator, Page } from '@playwright/test';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
/** A router that is there already, with packed plugins beside it, instead of what was built. Its own
 * console is another one: pages show the one that `npm run build` made. */
const there = { router: process.env.TAIMAT_ROUTER_BINARY, plugins: process.env.TAIMAT_PLUGINS };

function binary(profile = 'debug'): string {
  return there.router ?? join(target, profile, 'taimat');
}

/** Starts a program and gives its first line of output. */
async function first(process: ChildProcess): Promise<string> {
  if (!process.stdout) throw new Error('no stdout');
  for await (const line of createInterface({ input: process.stdout })) return line;
  throw new Error(`${process.spawnfile} ended before it was ready`);
}

/** It was never started, or is gone and says nothing more. */
function hasEnded(process: ChildProcess | undefined): boolean {
  return (process?.exitCode ?? process?.signalCode ?? null) !== null || process === undefined;
}

export class GstCamera {
  private process: ChildProcess | undefined;
  port = 0;

  constructor(private readonly options: Record<string, unknown> = {}) {}

  async start(): Promise<this> {
    const settings = {
      video: 'h264',
      audio: null,
      auth: null,
      transport: 'both',
      width: 640,
      height: 360,
      rate: 15,
      keyframe_interval: 15,
      b_frames: false,
      kbit: 600,
      port: this.port,
      ...this.options,
    };
    const script = join(root, 'core/testkit/src/gst_camera.py');
    this.process = spawn('/usr/bin/python3', ['-u', script, JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.port = Number(await first(this.process));
    return this;
  }

  get url(): string {
    return `rtsp://127.0.0.1:${this.port}/cam`;
  }

  async kill(): Promise<void> {
    if (hasEnded(this.process)) return;
    const ended = new Promise((resolve) => this.process?.once('exit', resolve));
    this.process?.kill('SIGKILL');
    await ended;
  }

  freeze(frozen: boolean): void {
    this.process?.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }
}

/** Cameras of the field, as a commune of their own. */
export class FieldCameras {
  private process: ChildProcess | undefined;
  readonly folder = join(mkdtempSync(join(tmpdir(), 'taimat-')), 'thu');

  /** Their names, and the streams that each plays. */
  async start(): Promise<{ name: string; clips: string[] }[]> {
    mkdirSync(this.folder);
    this.process = spawn(join(target, 'debug/field-camera'), ['--browser', this.folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return JSON.parse(await first(this.process)) as { name: string; clips: string[] }[];
  }

  stop(): void {
    this.process?.kill('SIGKILL');
  }
}

export class Commune {
  readonly folder: string;

  constructor() {
    this.folder = join(mkdtempSync(join(tmpdir(), 'taimat-')), 'thu');
    mkdirSync(this.folder);
  }

  /** Replaces the file as editors do: the new one takes the old one's place. */
  write(text: string): void {
    const temporary = join(this.folder, '.new');
    writeFileSync(temporary, text);
    renameSync(temporary, join(this.folder, 'commune.toml'));
  }

  cameras(list: [string, string, string][]): void {
    const sections = list.map(
      ([id, title, url]) => `[camera.${id}]\ntitle = "${title}"\nmain = "${url}"\nstall-timeout = "1500ms"\n`,
    );
    this.write(`[commune]\nname = "Phường Thử Nghiệm"\n\n${sections.join('\n')}`);
  }
}

/** Simulated cameras, `camera-1` and so on, each with a drawn scene. */
export class DrawnCameras {
  private process: ChildProcess | undefined;
  private address = '';

  async start(...options: string[]): Promise<this> {
    const args = ['simulate', '--listen', '127.0.0.1:0', '--sub-size', 'none', ...options];
    this.process = spawn(binary(), args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.address = (await first(this.process)).replace('cameras: ', '');
    return this;
  }

  url(name: string): string {
    return this.address.replace('NAME', name);
  }

  stop(): void {
    this.process?.kill('SIGKILL');
  }
}

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

/** Shows the console that was built, where the router's binary has another one. */
export async function showBuilt(page: Page): Promise<void> {
  if (!there.router) return;
  await page.route(/^http:\/\/[^/]+\/(assets\/.*|icon\.svg)?$/, (route) => {
    const { pathname } = new URL(route.request().url());
    const file = pathname === '/' ? '/index.html' : pathname;
    const body = readFileSync(join(root, 'core/console/dist', file));
    return route.fulfill({ body, contentType: TYPES[extname(file)] ?? 'application/octet-stream' });
  });
}

/** Reads the number in the picture of GStreamer's camera: 32 cells at the top, 24 bits and a check sum. */
export function numberIn(video: Locator): Promise<number | null> {
  return video.evaluate((video: HTMLVideoElement) => {
    const width = video.videoWidth;
    if (width === 0) return null;
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = video.videoHeight;
    const context = canvas.getContext('2d');
    if (!context) return null;
    context.drawImage(video, 0, 0);
    const cell = width / 32;
    let word = 0n;
    for (let i = 0; i < 32; i += 1) {
      const [red] = context.getImageData(i * cell + cell / 2, cell / 4, 1, 1).data;
      word = (word << 1n) | ((red ?? 0) > 125 ? 1n : 0n);
    }
    const value = Number(word >> 8n);
    const sum = (value >> 16) + ((value >> 8) & 255) + (value & 255) + 0xa5;
    return (sum & 255) === Number(word & 255n) ? value : null;
  });
}

/** Builds one of the repository's plugins; gives the packed file. */
export function plugin(folder: string): string {
  if (there.plugins) return join(there.plugins, `${basename(folder)}.wasm`);
  const file = join(mkdtempSync(join(tmpdir(), 'taimat-')), 'plugin.wasm');
  const args = ['plugin', 'build', folder, '--profile', 'plugin', '--output', file];
  execFileSync(binary(), args, {
    cwd: root,
    env: { ...process.env, CARGO_TARGET_DIR: join(target, 'plugins') },
    stdio: 'ignore',
  });
  return file;
}

/** Makes the keys that sign what a commune takes out. */
export function keys(commune: { folder: string }): void {
  const beside = (name: string): string => join(commune.folder, '..', name);
  writeFileSync(beside('passphrase'), 'một cụm từ dài\n');
  const args = ['evidence', 'init', '--organization', 'UBND phường Thử Nghiệm'];
  args.push('--root-key', beside('root.key'), '--passphrase-file', beside('passphrase'));
  execFileSync(binary(), [...args, '--data', beside('data')], { stdio: 'ignore' });
}

export class Router {
  private process: ChildProcess | undefined;
  page = '';

  /** With `more` on its command line. */
  async start(
    commune: { folder: string },
    http = '127.0.0.1:0',
    profile = 'debug',
    more: string[] = [],
  ): Promise<this> {
    const args = ['serve', commune.folder, '--http', http, '--rtsp', '127.0.0.1:0'];
    args.push('--rtc', '127.0.0.1:0', '--data', join(commune.folder, '../data'));
    // What is recorded here is little; the disk may be almost full.
    args.push('--archive-floor', '16MiB', ...more);
    this.process = spawn(binary(profile), args, {
      stdio: ['ignore', 'pipe', process.env.TAIMAT_LOG ? 'inherit' : 'ignore'],
    });
    this.page = (await first(this.process)).replace('console: ', '');
    return this;
  }

  /** It answers nothing and sends nothing, as if its wire were out. */
  freeze(frozen: boolean): void {
    this.process?.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  /** How many viewers' sessions it has. */
  async sessions(): Promise<number> {
    const answer = await fetch(`${this.page}api/v1/sessions`);
    return ((await answer.json()) as unknown[]).length;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    // One that is gone says nothing more.
    if (hasEnded(this.process)) return;
    const ended = new Promise((resolve) => this.process?.once('exit', resolve));
    this.process?.kill(signal);
    await ended;
  }
}
