// A browser of the tests' own, and what they look for with it.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { address, password } from "./world.mjs";

const env = process.env;
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(env.UI_SCREENSHOTS, { recursive: true });

export const sizes = {
  phone: { width: 360, height: 740 },
  desktop: { width: 1280, height: 860 },
};

// One person's browser: contexts share nothing with others. `problems` collects what must not be:
// errors of scripts, reports of the content policy, requests to elsewhere.
export class Person {
  // `at`: where the page is, if not at the server itself.
  static async open(browser, options = {}, at = address) {
    const context = await browser.newContext({
      viewport: sizes.desktop,
      reducedMotion: "reduce",
      ...options,
    });
    const person = new Person();
    person.context = context;
    person.problems = [];
    person.address = at;
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`content policy: ${event.violatedDirective} ${event.blockedURI}`);
      });
    });
    person.page = await context.newPage();
    person.page.setDefaultTimeout(30_000);
    person.page.on("console", (message) => {
      // What the network refuses is shown on the page, and tested there.
      if (message.type() !== "error" || /Failed to load resource/.test(message.text())) return;
      person.problems.push(message.text());
    });
    person.page.on("pageerror", (error) => person.problems.push(String(error)));
    person.page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(`${at}/`) && !url.startsWith("data:"))
        person.problems.push(`request to ${url}`);
    });
    return person;
  }

  async signIn(name, hash = "") {
    await this.page.goto(`${this.address}/ui/${hash}`);
    await this.page.getByLabel("User name", { exact: true }).last().fill(name);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.locator(".shell").waitFor();
  }

  async signInWithToken(token) {
    await this.page.goto(`${this.address}/ui/`);
    await this.page.getByText("Token", { exact: true }).click();
    await this.page.getByRole("textbox", { name: "Token" }).fill(token);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.locator(".shell").waitFor();
  }

  async go(hash) {
    await this.page.evaluate((to) => {
      location.hash = to;
    }, hash);
    await this.page.getByRole("status").filter({ hasText: "Loading" }).waitFor({ state: "detached" });
  }

  // Nothing that axe knows to keep people out, and no part that sticks out of a small screen.
  async checkAccess(what) {
    const cdp = await this.context.newCDPSession(this.page);
    await cdp.send("Runtime.evaluate", { expression: axeSource });
    await cdp.detach();
    const violations = await this.page.evaluate(async () => {
      const result = await globalThis.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      });
      return result.violations.map(({ id, nodes }) => ({
        id,
        nodes: nodes.map((node) => `${node.target.join(" ")} ${node.failureSummary}`),
      }));
    });
    assert.deepEqual(violations, [], `${what}: axe`);
    const over = await this.page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    assert.ok(over <= 0, `${what}: ${over} pixels wider than the screen`);
  }

  // The view in both colours and both sizes: a picture of each, and checked for access.
  async record(name) {
    for (const [size, viewport] of Object.entries(sizes))
      for (const colorScheme of ["light", "dark"]) {
        await this.page.setViewportSize(viewport);
        await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await this.checkAccess(`${name} ${size} ${colorScheme}`);
        await this.page.screenshot({
          path: join(env.UI_SCREENSHOTS, `${name}-${size}-${colorScheme}.png`),
          fullPage: true,
        });
      }
    await this.page.setViewportSize(sizes.desktop);
    await this.page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  }

  assertClean() {
    assert.deepEqual(this.problems, []);
  }

  async close() {
    await this.context.close();
  }
}

export async function openBrowser() {
  const browser = await chromium.launch({
    executablePath: env.UI_CHROMIUM,
    env: { ...env, XDG_CONFIG_HOME: mkdtempSync(join(env.UI_DIRECTORY, "config-")) },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  return browser;
}
