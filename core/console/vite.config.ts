import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

/** The router beside which the page is developed. */
const router = process.env.TAIMAT_ROUTER ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
  build: { target: 'es2022', assetsInlineLimit: 0, reportCompressedSize: true },
  // `npm run unit`: what needs no browser.
  test: { include: ['src/**/*.test.ts'] },
  server: {
    // `npm run dev` beside a running router.
    proxy: {
      '/api': router,
      '^/[a-z0-9-]+/[a-z0-9-]+/whep': router,
    },
  },
});
