// The service worker, built by itself: a browser runs it as one script without imports, at an address that
// stays the same and governs what is below it.

import { defineConfig } from 'vite';

export default defineConfig({
  // The page's build has put them there.
  publicDir: false,
  build: {
    target: 'es2022',
    emptyOutDir: false,
    rolldownOptions: { input: 'src/sw.ts', output: { format: 'iife', entryFileNames: 'sw.js' } },
  },
});
