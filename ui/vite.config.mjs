import { defineConfig } from "vite";

// "npm run dev" shows the page with changes at once, beside a server in development mode.
const server = process.env.CURFEW_ADDR || "http://127.0.0.1:8200";

export default defineConfig({
  base: "/ui/",
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    sourcemap: false,
  },
  logLevel: "warn",
  server: { proxy: { "/v1": server, "/ui/session": server } },
});
