import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [svelte()],
  build: { target: 'es2022', assetsInlineLimit: 0, reportCompressedSize: true },
  server: {
    // `npm run dev` beside a running router.
    proxy: {
      '/api': 'http://127.0.0.1:8080',
      '^/[a-z0-9-]+/[a-z0-9-]+/whep': 'http://127.0.0.1:8080',
    },
  },
});
