// The views beside the requests: what they show, and that they can be used by everybody.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openBrowser, Person } from "./browser.mjs";
import { address, makeWorld, root } from "./world.mjs";

let browser;
let world;
let olga;

before(async () => {
  world = await makeWorld();
  browser = await openBrowser();
  olga = await Person.open(browser);
});

after(async () => {
  await browser?.close();
});

// Headers are bytes: the character that turns the direction of text, in UTF-8.
const hidden = Buffer.from("\u202E").toString("latin1");

const lease = (purpose) =>
  world.agent.must("GET", "database/creds/agent-readonly", undefined, {
    "X-Curfew-Purpose": purpose,
    "X-Curfew-Session": "s-2041",
  });

test("signing in: a wrong password, then the right one; the token is out of reach", async () => {
  const { page } = olga;
  await page.goto(`${address}/`);
  assert.equal(page.url(), `${address}/ui/`);
  await page.getByLabel("User name", { exact: true }).last().waitFor();
  await olga.record("sign-in");
  await page.getByLabel("User name", { exact: true }).last().fill("olga");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").filter({ hasText: "Signing in failed" }).waitFor();
  await olga.signIn("olga");
  const reach = await page.evaluate(() => ({
    cookie: document.cookie,
    stored: JSON.stringify({ ...localStorage, ...sessionStorage }),
  }));
  assert.match(reach.cookie, /^curfew-csrf=[0-9a-f]{64}$/);
  assert.doesNotMatch(reach.stored, /hvs\./);
  const cookies = await olga.context.cookies();
  const session = cookies.find((cookie) => cookie.name === "curfew");
  assert.ok(session.httpOnly);
  assert.equal(session.sameSite, "Strict");
  const self = await page.evaluate(async () => {
    const csrf = document.cookie.split("=")[1];
    const answer = await fetch("/v1/auth/token/lookup-self", { headers: { "X-Curfew-CSRF": csrf } });
    return answer.text();
  });
  assert.match(self, /userpass-olga/);
  assert.ok(!self.includes(session.value));
});

test("a reload keeps the session", async () => {
  await olga.page.reload();
  await olga.page.getByRole("button", { name: "Sign out" }).waitFor();
});

test("leases: filter, look at one, end it with a receipt", async () => {
  const { page } = olga;
  await lease("Look up order 4711");
  await lease(`<img src=x onerror="window.harm=1"> ${hidden}gnp.exe`);
  await lease("third");
  await olga.go("#/leases");
  await page.getByRole("row").nth(3).waitFor();
  await olga.record("leases");
  await page.getByLabel("Filter").fill("nobody-has-this");
  await page.getByText("Nothing fits the filter.").waitFor();
  await page.getByLabel("Filter").fill("refund-bot s-2041");
  await page.getByRole("row").nth(3).waitFor();
  const markup = (await root.read("sys/leases?limit=10")).data.leases.find((one) =>
    one.attribution.purpose.includes("img"),
  );
  await page.locator(`[data-lease="${markup.id}"] a`).click();
  await page.getByText('<img src=x onerror="window.harm=1"> gnp.exe').waitFor();
  assert.equal(await page.evaluate(() => window.harm), undefined);
  assert.doesNotMatch(await page.locator("main").innerText(), /\u202E/);
  await olga.record("lease");
  await page.getByRole("button", { name: "End lease" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement.textContent === "End lease");
  await page.getByRole("button", { name: "End lease" }).click();
  await olga.record("dialog");
  await dialog.getByRole("button", { name: "End now" }).click();
  await page.getByText("Proven gone").waitFor();
  await olga.record("receipt");
});

test("leases: several at once", async () => {
  const { page } = olga;
  await olga.go("#/leases");
  await page.getByLabel("Choose all that are shown").check();
  await page.getByRole("button", { name: "End chosen (2)" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End now" }).click();
  await page.getByText("2 of 2 ended and proven gone").waitFor();
  await page.getByText("Nobody holds a lease.").waitFor();
});

test("agents: registry, budget and activity; disable and enable", async () => {
  const { page } = olga;
  await lease("Check a refund");
  await olga.go("#/agents");
  await page.getByRole("link", { name: "refund-bot" }).waitFor();
  await olga.record("agents");
  await page.getByRole("link", { name: "refund-bot" }).click();
  await page.getByText("Live leases: 1 of 8").waitFor();
  await olga.record("agent");
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await page.getByText("May not act").first().waitFor();
  assert.equal((await world.agent.call("GET", "database/creds/agent-readonly")).status, 403);
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Enable" }).click();
  await page.getByText("May act", { exact: true }).waitFor();
});

test("targets", async () => {
  await olga.go("#/targets");
  await olga.page.getByText("No trouble known").waitFor();
  await olga.record("targets");
});

test("incident: dry run, lockdown and end, progress, lifting", async () => {
  const { page } = olga;
  await lease("one");
  await lease("two");
  await olga.go("#/incident");
  await page.getByLabel("Role").fill("agent-readonly");
  await page.getByRole("button", { name: "See what would end" }).click();
  await page.getByRole("heading", { name: /3 leases/ }).waitFor();
  assert.equal((await root.read("sys/leases?limit=10")).data.lease_count, 3);
  await page.getByLabel("Reason").fill("A credential was found in a log.");
  await olga.record("incident");
  await page.getByRole("button", { name: "End 3 leases now" }).click();
  const dialog = page.getByRole("dialog");
  assert.ok(await dialog.getByRole("button", { name: "End them now" }).isDisabled());
  await dialog.getByLabel("Type “end” to confirm").fill("end");
  await dialog.getByRole("button", { name: "End them now" }).click();
  await page.getByText("All gone, and proven").waitFor();
  await page.getByText("Proven gone: 3 of 3").waitFor();
  await olga.record("operation");
  assert.equal((await world.agent.call("GET", "database/creds/agent-readonly")).status, 403);
  await olga.go("#/incident");
  await page.getByRole("button", { name: /^Lift/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Lift it" }).click();
  await page.getByText("None: leases are issued everywhere.").waitFor();
  await lease("issued again");
});

test("somebody without rights is not offered what is not his", async () => {
  const bob = await Person.open(browser);
  await bob.signIn("bob");
  const places = await bob.page.getByRole("navigation", { name: "Main" }).innerText();
  assert.match(places, /Requests/);
  assert.doesNotMatch(places, /Incident|Leases|Agents|Targets/);
  await bob.go("#/leases");
  await bob.page.getByText("You may not see the leases.").waitFor();
  bob.assertClean();
  await bob.close();
});

test("with a token; signing out revokes it", async () => {
  const made = await root.write("auth/token/create", { policies: ["operator"], ttl: "10m" });
  const other = await Person.open(browser, { viewport: { width: 360, height: 740 } });
  await other.signInWithToken(made.auth.client_token);
  const menu = other.page.getByRole("button", { name: "Menu" });
  await menu.click();
  assert.equal(await menu.getAttribute("aria-expanded"), "true");
  await other.page.setViewportSize({ width: 360, height: 740 });
  await other.checkAccess("menu");
  await other.page.keyboard.press("Escape");
  assert.equal(await menu.getAttribute("aria-expanded"), "false");
  await menu.click();
  await other.page.getByRole("button", { name: "Sign out" }).click();
  await other.page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.deepEqual(await other.context.cookies(), []);
  const dead = await root.call("POST", "auth/token/lookup", { token: made.auth.client_token });
  assert.equal(dead.status, 403);
  other.assertClean();
  await other.close();
});

test("the keyboard alone: the skip link, and focus that follows the page", async () => {
  const { page } = olga;
  await olga.go("#/targets");
  await page.reload();
  await page.getByText("No trouble known").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "page-title");
  await page.getByRole("link", { name: "Agents" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Agents" }).waitFor();
  await page.waitForFunction(() => document.activeElement.id === "page-title");
});

test("an injected script does not run", async () => {
  const person = await Person.open(browser);
  await person.page.goto(`${address}/ui/`);
  await person.page.getByRole("heading", { name: "Sign in" }).waitFor();
  // Out of a timer, for what the driver itself evaluates is not bound by the page's policy.
  const ran = await person.page.evaluate(
    () =>
      new Promise((resolve) => {
        setTimeout(() => {
          const refused = [];
          const attempt = (act) => {
            try {
              act();
            } catch (error) {
              refused.push(error.name);
            }
          };
          attempt(() => {
            const script = document.createElement("script");
            script.textContent = "window.injected = 'text'";
            document.body.append(script);
          });
          attempt(() =>
            document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="injected = 1">'),
          );
          attempt(() => window.eval("window.injected = 'eval'"));
          attempt(() => {
            document.body.setAttribute("onclick", "window.injected = 'attribute'");
            document.body.click();
          });
          setTimeout(() => resolve({ injected: window.injected, refused }), 300);
        });
      }),
  );
  assert.equal(ran.injected, undefined);
  assert.ok(ran.refused.length >= 3, `only ${ran.refused} were refused`);
  assert.ok(person.problems.some((problem) => problem.startsWith("content policy")));
  await person.close();
});

test("nothing was reported along the way", () => olga.assertClean());
