// Signing in through an identity provider: one of the test's own, with the browser in between.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, createSign, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { openBrowser, Person } from "./browser.mjs";
import { address, root } from "./world.mjs";

const { UI_DIRECTORY: directory } = process.env;
const key = generateKeyPairSync("rsa", { modulusLength: 2048 });
const base64 = (text) => Buffer.from(text).toString("base64url");
let provider;
let issuer;
let browser;

function certificate() {
  const [keyFile, file] = [join(directory, "idp.key"), join(directory, "idp.pem")];
  execFileSync(
    "openssl",
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout ${keyFile} -out
     ${file} -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1`.split(/\s+/),
    { stdio: "ignore" },
  );
  return { key: readFileSync(keyFile), cert: readFileSync(file, "utf8") };
}

function idToken(nonce) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    aud: "curfew",
    sub: "dora",
    nonce,
    iat: now,
    exp: now + 300,
  };
  const signed = `${base64('{"alg":"RS256","kid":"one"}')}.${base64(JSON.stringify(claims))}`;
  return `${signed}.${createSign("RSA-SHA256").update(signed).sign(key.privateKey, "base64url")}`;
}

// Agrees to everything at once, but hands the token only to who has the code's verifier (PKCE).
function serve(tls) {
  const codes = new Map();
  return https.createServer(tls, async (request, response) => {
    const url = new URL(request.url, issuer);
    let body = "";
    for await (const piece of request) body += piece;
    const json = (value, status = 200) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(value));
    };
    if (url.pathname === "/.well-known/openid-configuration")
      return json({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/keys`,
        response_types_supported: ["code"],
        id_token_signing_alg_values_supported: ["RS256"],
        subject_types_supported: ["public"],
      });
    if (url.pathname === "/keys")
      return json({ keys: [{ ...key.publicKey.export({ format: "jwk" }), kid: "one", use: "sig" }] });
    if (url.pathname === "/authorize") {
      const code = randomBytes(12).toString("hex");
      codes.set(code, url.searchParams);
      const back = new URL(url.searchParams.get("redirect_uri"));
      back.searchParams.set("state", url.searchParams.get("state"));
      back.searchParams.set("code", code);
      response.writeHead(302, { Location: back.href });
      return response.end();
    }
    const form = new URLSearchParams(body);
    const asked = codes.get(form.get("code"));
    const proof = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    if (asked?.get("code_challenge") !== proof) return json({ error: "invalid_grant" }, 400);
    return json({ id_token: idToken(asked.get("nonce")), access_token: "a", token_type: "Bearer" });
  });
}

before(async () => {
  const tls = certificate();
  provider = serve(tls);
  provider.unref();
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", resolve));
  issuer = `https://127.0.0.1:${provider.address().port}`;
  await root.write("sys/auth/oidc", { type: "oidc", config: { listing_visibility: "unauth" } });
  await root.write("auth/oidc/config", {
    oidc_discovery_url: issuer,
    oidc_discovery_ca_pem: tls.cert,
    oidc_client_id: "curfew",
    oidc_client_secret: "secret of the client",
    default_role: "people",
  });
  await root.write("auth/oidc/role/people", {
    role_type: "oidc",
    user_claim: "sub",
    allowed_redirect_uris: [`${address}/ui/oidc/callback`],
    token_ttl: "30m",
  });
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
});

test("there and back again, to where one was; the code does not stay in the address", async () => {
  const dora = await Person.open(browser, { ignoreHTTPSErrors: true });
  await dora.page.goto(`${address}/ui/#/tasks`);
  await dora.page.getByLabel("Role (optional)").waitFor(); // the provider is the only way offered
  await dora.page.getByRole("button", { name: "Continue to your provider" }).click();
  await dora.page.getByText("No task is under way.").waitFor();
  assert.equal(dora.page.url(), `${address}/ui/#/tasks`);
  await dora.page.getByText("oidc-dora").waitFor();
  const cookies = await dora.context.cookies();
  assert.ok(cookies.find(({ name }) => name === "curfew").httpOnly);
  assert.deepEqual(
    dora.problems.filter((problem) => !problem.startsWith(`request to ${issuer}/authorize?`)),
    [],
  );
  await dora.close();
});

test("an answer that this window did not ask for is not taken", async () => {
  const person = await Person.open(browser);
  await person.page.goto(`${address}/ui/oidc/callback?state=planted&code=planted`);
  await person.page.getByRole("alert").filter({ hasText: "was not begun in this window" }).waitFor();
  assert.deepEqual(await person.context.cookies(), []);
  person.assertClean();
  await person.close();
});
