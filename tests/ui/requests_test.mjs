// The whole story of requests: two approvers in two browsers, from the question to the receipt.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { after, before, test } from "node:test";

import { openBrowser, Person } from "./browser.mjs";
import { address, login, makeWorld, root } from "./world.mjs";

let browser;
let world;
let bob;
let carol;

before(async () => {
  world = await makeWorld();
  browser = await openBrowser();
  bob = await Person.open(browser);
  carol = await Person.open(browser);
});

after(async () => {
  await browser?.close();
});

const ask = async (more = {}, headers = {}) =>
  (
    await world.agent.write(
      "sys/approvals",
      {
        path: "database/creds/agent-readwrite",
        ttl: "15m",
        purpose: "Refund an order",
        session: "s-2041",
        ...more,
      },
      headers,
    )
  ).data;

const state = async (id) => (await root.read(`sys/approvals/${id}`)).data;
const card = (person, id) => person.page.locator(`[data-request="${id}"]`);
const dialog = (person) => person.page.getByRole("dialog");
const hostile =
  'Customer asked <b onmouseover="window.harm=1">now</b> <script>window.harm=1</script> \u202Eexe.gpj\u0007';

let first;

test("nothing waits, and then a request appears by itself", async () => {
  await bob.signIn("bob");
  await carol.signIn("carol");
  await bob.page.getByText("Nothing waits for you.").waitFor();
  await carol.page.getByText("Nothing waits for you.").waitFor();
  await bob.record("inbox-empty");
  first = await ask(
    { reason: hostile, ticket: "OPS-42" },
    { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
  );
  await card(bob, first.id).waitFor();
  await card(carol, first.id).waitFor();
  await bob.page
    .locator("#announcements")
    .filter({ hasText: "A request waits for you" })
    .waitFor({ state: "attached" });
});

test("the card shows what an approver has to see, and the agent's words as words", async () => {
  const text = await card(bob, first.id).innerText();
  for (const part of [
    "agent-readwrite",
    "curfew_ui",
    "15 min",
    "refund-bot",
    "ana",
    "s-2041",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "public.orders",
    "UPDATE",
    "0 of 2",
    "2 more of data-owners",
    "OPS-42",
    "Claimed by the agent",
    '<b onmouseover="window.harm=1">now</b> <script>window.harm=1</script> exe.gpj',
  ])
    assert.ok(text.includes(part), `${part} is not in: ${text}`);
  assert.doesNotMatch(text, /[\u202E\u0007]/);
  assert.equal(await card(bob, first.id).locator("b, script").count(), 0);
  await card(bob, first.id).getByText("SQL that makes the role").click();
  await card(bob, first.id).getByText("GRANT SELECT, UPDATE ON public.orders").waitFor();
  await bob.record("inbox");
  await bob.go(`#/approvals/${first.id}`);
  await bob.page.getByRole("heading", { name: "agent-readwrite" }).waitFor();
  await bob.page.getByText(first.digest).waitFor();
  await bob.record("request");
  assert.equal(await bob.page.evaluate(() => window.harm), undefined);
});

test("one statement: what it would do was tried and is shown", async () => {
  const request = await ask({
    purpose: "Refund order 4711",
    statement: "UPDATE public.orders SET status = $1 WHERE id = $2",
    statement_parameters: ["refunded", 4711],
  });
  await carol.go(`#/approvals/${request.id}`);
  await carol.page.getByText("UPDATE public.orders SET status = $1 WHERE id = $2").waitFor();
  await carol.page.getByText("1 updated").waitFor();
  await carol.page.getByRole("cell", { name: "paid" }).waitFor();
  await carol.page.locator("mark", { hasText: "refunded" }).waitFor();
  await carol.record("statement");
  await world.agent.write(`sys/approvals/${request.id}/cancel`);
  await carol.go("#/approvals");
});

test("one approves; the other sees it at once; each person counts once", async () => {
  await bob.go("#/approvals");
  await card(bob, first.id).getByRole("button", { name: "Approve" }).click();
  await dialog(bob).getByLabel("Reason").fill("I know of this refund.");
  await bob.record("approve");
  await dialog(bob).getByRole("button", { name: "Approve" }).click();
  await bob.page.getByText("Nothing waits for you.").waitFor();
  await card(carol, first.id).getByText("1 of 2").waitFor();
  await card(carol, first.id).getByText("owners: bob").waitFor();
  await bob.go("#/approvals?tab=open");
  await card(bob, first.id).getByText("you have approved it").waitFor();
  assert.equal(await card(bob, first.id).getByRole("button", { name: "Approve" }).count(), 0);
});

test("what has changed meanwhile is not approved by an old page", async () => {
  await card(carol, first.id).getByRole("button", { name: "Approve" }).click();
  await dialog(carol).waitFor();
  const before = await state(first.id);
  await bob.page.reload();
  await card(bob, first.id).getByRole("button", { name: "Narrow" }).click();
  await dialog(bob).getByLabel("Lives for").fill("90m");
  await dialog(bob).getByText("Give a time shorter than").waitFor();
  assert.ok(await dialog(bob).getByRole("button", { name: "Narrow and approve" }).isDisabled());
  await dialog(bob).getByLabel("Lives for").fill("10m");
  await dialog(bob).getByRole("button", { name: "Narrow and approve" }).click();
  await dialog(bob).waitFor({ state: "detached" });
  const narrowed = await state(first.id);
  assert.notEqual(narrowed.digest, before.digest);
  assert.equal(narrowed.ttl, 600);
  await dialog(carol).getByRole("button", { name: "Approve" }).click();
  await card(carol, first.id).getByRole("alert").filter({ hasText: "Look again." }).waitFor();
  assert.equal((await state(first.id)).state, "pending");
  await carol.record("stale");
  await card(carol, first.id).getByText("asks for curfew_ui, for 10 min").waitFor();
  await card(carol, first.id).getByRole("button", { name: "Approve" }).click();
  await dialog(carol).getByRole("button", { name: "Approve" }).click();
  await carol.page.getByText("Nothing waits for you.").waitFor();
  assert.equal((await state(first.id)).state, "approved");
});

test("claimed, withdrawn, and proven gone", async () => {
  await bob.go(`#/approvals/${first.id}`);
  await bob.page.getByText("To be claimed within").waitFor();
  const claimed = await world.agent.write(`sys/approvals/${first.id}/claim`);
  assert.match(claimed.lease_id, /^database\/creds\/agent-readwrite\//);
  assert.ok(claimed.lease_duration <= 600);
  await bob.page.getByText("In use").first().waitFor();
  await bob.page.getByRole("link", { name: claimed.lease_id }).waitFor();
  await bob.page.getByText("I know of this refund.").waitFor();
  await bob.page.getByLabel("Comment").fill("Looks right so far.");
  await bob.page.getByRole("button", { name: "Add comment" }).click();
  await bob.page.getByText("Looks right so far.").waitFor();
  await bob.record("claimed");
  await bob.page.getByRole("button", { name: "Withdraw" }).click();
  assert.ok(await dialog(bob).getByRole("button", { name: "Withdraw" }).isDisabled());
  await dialog(bob).getByLabel("Reason").fill("The order was refunded by hand.");
  await dialog(bob).getByRole("button", { name: "Withdraw" }).click();
  await bob.page.getByText("Withdrawn", { exact: true }).first().waitFor();
  const olga = await Person.open(browser);
  await olga.signIn("olga", `#/leases/${encodeURIComponent(claimed.lease_id)}`);
  await olga.page.getByText("Proven gone").waitFor();
  olga.assertClean();
  await olga.close();
});

test("whoever answers for the agent sees its request and cannot approve it", async () => {
  const request = await ask({ purpose: "Refund order 12" });
  const ana = await Person.open(browser);
  await ana.signIn("ana", `#/approvals/${request.id}`);
  await ana.page.getByRole("heading", { name: "agent-readwrite" }).waitFor();
  await ana.page.getByText("Who must approve").waitFor();
  assert.equal(await ana.page.getByRole("button", { name: "Approve" }).count(), 0);
  await ana.page.getByRole("button", { name: "Cancel the request" }).click();
  await ana.page.getByRole("dialog").getByRole("button", { name: "Cancel it" }).click();
  await ana.page.getByText("Cancelled", { exact: true }).first().waitFor();
  assert.equal((await state(request.id)).state, "cancelled");
  ana.assertClean();
  await ana.close();
});

test("a task: approved as a whole, its budget and time, and its end", async () => {
  const request = await ask({
    purpose: "Refund the orders of last night",
    task: { leases: 5, statements: 0, duration: "1h" },
  });
  for (const person of [bob, carol]) {
    await person.go("#/approvals");
    await card(person, request.id).getByText("1 h").first().waitFor();
    await card(person, request.id).getByRole("button", { name: "Approve" }).click();
    await dialog(person).getByRole("button", { name: "Approve" }).click();
    await dialog(person).waitFor({ state: "detached" });
  }
  const claimed = await world.agent.write(`sys/approvals/${request.id}/claim`);
  await bob.go("#/tasks");
  await card(bob, request.id).getByText("Leases: 1 of 5").waitFor();
  await bob.record("tasks");
  await card(bob, request.id).getByRole("button", { name: "End task" }).click();
  await dialog(bob).getByLabel("Reason").fill("Enough for today.");
  await dialog(bob).getByRole("button", { name: "End it now" }).click();
  await bob.page.getByText("No task is under way.").waitFor();
  for (let i = 0; ; ++i) {
    const lease = (await root.write("sys/leases/receipt", { lease_id: claimed.lease_id })).data;
    if (lease.receipt?.proven) break;
    assert.ok(i < 100, "the task's lease was not ended");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

test("break glass is reviewed", async () => {
  const sam = await login("sam");
  const made = await sam.write("sys/approvals", {
    path: "database/creds/agent-readwrite",
    reason: "Checkout is down and nobody answers",
    break_glass: true,
  });
  await bob.go("#/break-glass");
  await card(bob, made.data.id).getByText("Checkout is down and nobody answers").first().waitFor();
  await bob.record("break-glass");
  await card(bob, made.data.id).getByRole("button", { name: "Review" }).click();
  await dialog(bob).getByLabel("Reason").fill("The outage was real; the change was right.");
  await dialog(bob).getByRole("button", { name: "Mark as reviewed" }).click();
  await bob.page.getByText("There is nothing to review.").waitFor();
  await bob.page.getByRole("heading", { name: "Reviewed" }).waitFor();
});

test("a lost connection is said, and what was missed is there afterwards", async () => {
  await bob.go("#/approvals");
  await bob.page.getByText("Nothing waits for you.").waitFor();
  await bob.context.setOffline(true);
  await bob.page.getByText("Connection lost.").first().waitFor();
  await bob.record("lost");
  const request = await ask({ purpose: "While nobody listened" });
  await bob.context.setOffline(false);
  await card(bob, request.id).waitFor();
  await bob.page.locator("[data-connection=lost]").waitFor({ state: "detached" });
  await world.agent.write(`sys/approvals/${request.id}/cancel`);
  await bob.page.getByText("Nothing waits for you.").waitFor();
});

test("so is a server, or a proxy, that went away", async () => {
  const upstream = new URL(address);
  const sockets = new Set();
  const serve = (port) =>
    new Promise((resolve) => {
      const server = net.createServer((socket) => {
        const to = net.connect(upstream.port, upstream.hostname);
        for (const one of [socket, to]) {
          sockets.add(one);
          one.on("error", () => {});
          one.on("close", () => {
            sockets.delete(one);
            socket.destroy();
            to.destroy();
          });
        }
        socket.pipe(to).pipe(socket);
      });
      server.unref().listen(port, "127.0.0.1", () => resolve(server));
    });
  let proxy = await serve(0);
  const { port } = proxy.address();
  const person = await Person.open(browser, {}, `http://127.0.0.1:${port}`);
  await person.signIn("bob");
  await person.page.getByText("Nothing waits for you.").waitFor();
  proxy.close();
  for (const socket of sockets) socket.destroy();
  await person.page.getByText("Connection lost.").first().waitFor();
  const request = await ask({ purpose: "While the proxy was away" });
  proxy = await serve(port);
  await card(person, request.id).waitFor();
  await person.page.locator("[data-connection=lost]").waitFor({ state: "detached" });
  person.assertClean();
  await person.close();
  proxy.close();
  for (const socket of sockets) socket.destroy();
  await world.agent.write(`sys/approvals/${request.id}/cancel`);
});

test("another origin decides nothing with somebody's cookie", async () => {
  const request = await ask({ purpose: "Bait" });
  const { id, digest } = request;
  // The same host on another port: the same site, so that even strict cookies are sent along.
  const page = `<!doctype html><title>bait</title>
    <form id="form" method="post" action="${address}/v1/sys/approvals/${id}/deny"
      enctype="text/plain"><input name='{"reason":"' value='x"}'></form>
    <img src="${address}/v1/database/creds/agent-readonly">
    <script>
      // Each must fail, or its answer must be out of reach.
      const tries = [
        () => fetch("${address}/v1/sys/approvals/${id}/approve", { method: "POST", mode: "no-cors",
          credentials: "include", body: JSON.stringify({ digest: "${digest}" }) }),
        () => fetch("${address}/v1/sys/approvals/${id}/approve", { method: "POST",
          credentials: "include", headers: { "X-Curfew-CSRF": "0" },
          body: JSON.stringify({ digest: "${digest}" }) }),
        () => fetch("${address}/v1/auth/token/lookup-self", { credentials: "include" }),
        () => fetch("${address}/ui/session", { method: "DELETE", credentials: "include" }),
      ];
      Promise.all(tries.map((one) => one().then((answer) => answer.type + answer.status, () => "failed")))
        .then((outcomes) => { document.title = outcomes.join(" "); });
    </script>`;
  const statuses = [];
  const evil = http.createServer((_, response) => {
    response.writeHead(200, { "Content-Type": "text/html" });
    response.end(page);
  });
  await new Promise((resolve) => evil.listen(0, "127.0.0.1", resolve));
  evil.unref();
  const tab = await bob.context.newPage();
  tab.on("response", (answer) => {
    if (answer.url().startsWith(address)) statuses.push(answer.status());
  });
  await tab.goto(`http://127.0.0.1:${evil.address().port}/`);
  await tab.waitForFunction(() => document.title !== "bait");
  assert.equal(await tab.title(), "opaque0 failed failed failed");
  await tab.evaluate(() => document.getElementById("form").submit());
  await tab.getByText("X-Curfew-CSRF").waitFor();
  assert.ok(statuses.length >= 2 && statuses.every((status) => status >= 400), `${statuses}`);
  await tab.close();
  const after = await state(id);
  assert.equal(after.state, "pending");
  assert.equal(after.decisions.length, 0);
  await bob.page.reload();
  await card(bob, id).waitFor(); // and he is still signed in
  await world.agent.write(`sys/approvals/${id}/cancel`);
});

test("a session that ends says so, and the way back leads to where one was", async () => {
  const request = await ask({ purpose: "Wait for me" });
  const person = await Person.open(browser);
  await person.signIn("carol", `#/approvals/${request.id}`);
  await person.page.getByText("Wait for me").waitFor();
  const [cookie] = (await person.context.cookies()).filter(({ name }) => name === "curfew");
  await root.write("auth/token/revoke", { token: cookie.value });
  await person.page.getByRole("button", { name: "Approve" }).click();
  await person.page.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
  await person.page.getByText("Your session is over.").waitFor();
  await person.checkAccess("session over");
  await person.page.getByLabel("User name", { exact: true }).last().fill("carol");
  await person.page.getByLabel("Password").fill("correct horse battery");
  await person.page.getByRole("button", { name: "Sign in" }).click();
  await person.page.getByText("Wait for me").waitFor();
  person.assertClean();
  await person.close();
  await world.agent.write(`sys/approvals/${request.id}/cancel`);
});

// Last, for what was denied cannot be asked again at once.
test("denied, with a reason that the agent reads", async () => {
  const request = await ask({ purpose: "Drop everything" });
  await bob.go("#/approvals");
  await card(bob, request.id).getByRole("button", { name: "Deny" }).click();
  const button = dialog(bob).getByRole("button", { name: "Deny" });
  assert.ok(await button.isDisabled());
  await dialog(bob).getByLabel("Reason").fill("Not without a ticket.");
  await button.click();
  await bob.page.getByText("Nothing waits for you.").waitFor();
  const seen = (await world.agent.read(`sys/approvals/${request.id}`)).data;
  assert.equal(seen.state, "denied");
  assert.equal(seen.decisions[0].reason, "Not without a ticket.");
  await bob.go("#/approvals?tab=decided");
  await bob.page.getByText("Denied", { exact: true }).waitFor();
  await bob.record("decided");
});

test("nothing was reported along the way", () => {
  bob.assertClean();
  carol.assertClean();
});
