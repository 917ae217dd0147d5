import { ApiError, read, setNamespace, write } from "./api";

// Who is signed in. What is kept here is not secret; the token is in a cookie out of reach.

export interface Session {
  displayName: string;
  entityId: string;
  policies: string[];
  expireTime: string | null; // null: without end
  renewable: boolean;
  can: Record<string, boolean>; // by path, see kPaths
}

interface Lookup {
  display_name: string;
  entity_id: string;
  policies: string[];
  identity_policies?: string[];
  expire_time: string | null;
  renewable: boolean;
}

const NAMESPACE = "curfew.namespace";

export function rememberedNamespace(): string {
  try {
    return localStorage.getItem(NAMESPACE) ?? "";
  } catch {
    return "";
  }
}

export function useNamespace(name: string): void {
  setNamespace(name);
  try {
    localStorage.setItem(NAMESPACE, name);
  } catch {
    // A browser that keeps nothing works as well.
  }
}

// What decides which parts of the page are offered.
const PATHS = {
  leases: "sys/leases",
  incident: "sys/leases/end",
  agents: "identity/agent",
  targets: "sys/targets",
} as const;

export type Part = keyof typeof PATHS;

export function offers(session: Session, part: Part): boolean {
  return session.can[PATHS[part]] !== false;
}

async function capabilities(): Promise<Record<string, boolean>> {
  const paths = Object.values(PATHS);
  const can: Record<string, boolean> = {};
  try {
    const answer = await write<Record<string, string[]>>("sys/capabilities-self", {
      paths: [...paths, ...paths.map((path) => `${path}/`)],
    });
    for (const path of paths) {
      const found = [...(answer[path] ?? []), ...(answer[`${path}/`] ?? [])];
      can[path] = found.some((capability) => capability !== "deny");
    }
  } catch {
    // Everything is offered then; what is not allowed is refused by the server.
  }
  return can;
}

// null: nobody is signed in. Throws where the server cannot be asked.
export async function loadSession(): Promise<Session | null> {
  try {
    const token = await read<Lookup>("auth/token/lookup-self");
    return {
      displayName: token.display_name,
      entityId: token.entity_id,
      policies: [...(token.policies ?? []), ...(token.identity_policies ?? [])],
      expireTime: token.expire_time,
      renewable: token.renewable,
      can: await capabilities(),
    };
  } catch (error) {
    if (error instanceof ApiError && [400, 403, 404].includes(error.status)) return null;
    throw error;
  }
}

export async function renewSession(): Promise<void> {
  await write("auth/token/renew-self", {});
}

// ---- a login through an identity provider ---------------------------------------------------------

const OIDC = "curfew.oidc";

interface Begun {
  mount: string;
  namespace: string;
  nonce: string;
  state: string;
  hash: string;
}

export const redirectUri = (): string => `${location.origin}/ui/oidc/callback`;

export async function beginOidc(mount: string, role: string, namespace: string): Promise<string> {
  const nonce = crypto.getRandomValues(new Uint8Array(24)).reduce(
    (text, byte) => text + byte.toString(16).padStart(2, "0"),
    "",
  );
  const answer = await write<{ auth_url: string }>(
    `auth/${mount}/oidc/auth_url`,
    { role, redirect_uri: redirectUri(), client_nonce: nonce },
    { signsIn: true },
  );
  if (!answer.auth_url)
    throw new Error(
      `The server gave no address of the identity provider: does the role allow ${redirectUri()}?`,
    );
  const url = new URL(answer.auth_url);
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new Error("The address of the identity provider is none of the web.");
  const begun: Begun = {
    mount,
    namespace,
    nonce,
    state: url.searchParams.get("state") ?? "",
    hash: location.hash,
  };
  sessionStorage.setItem(OIDC, JSON.stringify(begun));
  return url.href;
}

export function isOidcCallback(): boolean {
  return location.pathname.endsWith("/oidc/callback");
}

// What the provider sent back, for the call that ends the login. Takes it out of the address.
export function takeOidcAnswer(): { begun: Begun; code: string } {
  const query = new URLSearchParams(location.search);
  const stored = sessionStorage.getItem(OIDC);
  sessionStorage.removeItem(OIDC);
  const begun = stored ? (JSON.parse(stored) as Begun) : null;
  history.replaceState(null, "", `/ui/${begun?.hash ?? ""}`);
  dispatchEvent(new HashChangeEvent("hashchange")); // replacing tells nobody
  const problem = query.get("error_description") ?? query.get("error");
  if (problem) throw new Error(`The identity provider refused: ${problem}`);
  const code = query.get("code");
  if (!begun || !code || query.get("state") !== begun.state)
    throw new Error("This login was not begun in this window, or is over. Begin again.");
  return { begun, code };
}
