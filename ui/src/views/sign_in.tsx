import { useEffect, useState } from "preact/hooks";

import { read, signIn, signInWithToken } from "../api";
import { errorText, useTitle } from "../hooks";
import { Field, Notice } from "../parts/basics";
import { Icon } from "../parts/icons";
import { beginOidc, isOidcCallback, rememberedNamespace, takeOidcAnswer, useNamespace } from "../session";
import { line, pathOf } from "../text";

type Method = "userpass" | "oidc" | "token";

const methods: [Method, string][] = [
  ["userpass", "User name"],
  ["oidc", "Single sign-on"],
  ["token", "Token"],
];

const trimSlashes = (path: string) => path.trim().replace(/^\/+|\/+$/g, "");

async function finishOidc(): Promise<void> {
  const { begun, code } = takeOidcAnswer();
  useNamespace(begun.namespace);
  await signIn(`auth/${pathOf(begun.mount)}/oidc/callback`, {
    state: begun.state,
    code,
    client_nonce: begun.nonce,
  });
}

export function SignIn({ onDone, over }: { onDone: () => void; over: boolean }) {
  useTitle("Sign in");
  const [method, setMethod] = useState<Method>("userpass");
  const [namespace, setNamespaceText] = useState(rememberedNamespace);
  const [mount, setMount] = useState<Record<Method, string>>({
    userpass: "userpass",
    oidc: "oidc",
    token: "",
  });
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState("");
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");

  const attempt = async (act: () => Promise<void>) => {
    setBusy(true);
    setError("");
    try {
      await act();
      setPassword("");
      setToken("");
      onDone();
    } catch (failure) {
      setError(line(errorText(failure)));
      setBusy(false);
    }
  };

  useEffect(() => {
    if (isOidcCallback()) void attempt(finishOidc);
    // The mounts that the server shows to everybody save typing.
    read<{ auth?: Record<string, { type: string }> }>("sys/internal/ui/mounts")
      .then(({ auth }) => {
        const found = (types: string[]) =>
          Object.entries(auth ?? {}).find(([, entry]) => types.includes(entry.type))?.[0];
        const people = found(["userpass"]);
        const provider = found(["oidc", "jwt"]);
        setMount((before) => ({
          ...before,
          userpass: people ? trimSlashes(people) : before.userpass,
          oidc: provider ? trimSlashes(provider) : before.oidc,
        }));
        if (provider && !people) setMethod("oidc");
      })
      .catch(() => {});
  }, []);

  const submit = (event: Event) => {
    event.preventDefault();
    useNamespace(trimSlashes(namespace));
    const path = pathOf(trimSlashes(mount[method]));
    void attempt(async () => {
      if (method === "token") return signInWithToken(token.trim());
      if (method === "userpass")
        return signIn(`auth/${path}/login/${encodeURIComponent(user.trim())}`, { password });
      location.assign(await beginOidc(path, role.trim(), trimSlashes(namespace)));
      await new Promise(() => {}); // the browser goes away
    });
  };

  return (
    <main class="sign-in" id="main">
      <div class="sign-in-card">
        <p class="brand">
          <span class="brand-mark">
            <Icon name="moon" />
          </span>
          Curfew
        </p>
        <h1 tabIndex={-1} id="page-title">
          Sign in
        </h1>
        <p class="lead">Decide what agents may do in your databases, and see that it ends.</p>
        {over && (
          <Notice tone="warn" title="Your session is over.">
            Sign in again to go on where you were.
          </Notice>
        )}
        <form onSubmit={submit}>
          <fieldset class="segments">
            <legend class="unseen">How to sign in</legend>
            {methods.map(([id, text]) => (
              <label key={id} class={id === method ? "chosen" : ""}>
                <input
                  type="radio"
                  name="method"
                  class="unseen"
                  checked={id === method}
                  onInput={() => {
                    setMethod(id);
                    setError("");
                  }}
                />
                {text}
              </label>
            ))}
          </fieldset>
          {method === "userpass" && (
            <>
              <Field
                label="User name"
                name="username"
                value={user}
                onInput={setUser}
                autocomplete="username"
                required
              />
              <Field
                label="Password"
                name="password"
                type="password"
                value={password}
                onInput={setPassword}
                autocomplete="current-password"
                required
              />
            </>
          )}
          {method === "oidc" && (
            <Field
              label="Role"
              name="role"
              value={role}
              onInput={setRole}
              optional
              hint="Leave it empty for the usual one. You will be sent to your identity provider."
            />
          )}
          {method === "token" && (
            <Field
              label="Token"
              name="token"
              type="password"
              value={token}
              onInput={setToken}
              required
              hint="It is kept in a cookie that no script can read. Signing out ends the token."
            />
          )}
          <details class="more">
            <summary>More options</summary>
            {method !== "token" && (
              <Field
                label="Mounted at"
                name="mount"
                value={mount[method]}
                onInput={(value) => setMount({ ...mount, [method]: value })}
                required
                hint="The path of the auth method, without “auth/”."
              />
            )}
            <Field
              label="Namespace"
              name="namespace"
              value={namespace}
              onInput={setNamespaceText}
              optional
              hint="Empty: the root namespace."
            />
          </details>
          {error && (
            <Notice tone="bad" role="alert" title="Signing in failed.">
              {error}
            </Notice>
          )}
          <button type="submit" class="primary block" disabled={busy}>
            {busy ? "One moment …" : method === "oidc" ? "Continue to your provider" : "Sign in"}
          </button>
        </form>
      </div>
    </main>
  );
}
