import { noteServerTime } from "./time";

// Calls to the broker's API. The token is in a cookie that scripts cannot read; what is sent here is
// the CSRF token that belongs to it.

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: the server was not reached
    message: string,
  ) {
    super(message);
  }
}

export interface Envelope<T> {
  data: T;
  warnings: string[] | null;
  auth: Record<string, unknown> | null;
}

interface Options {
  body?: unknown;
  query?: Record<string, string | number | boolean | undefined>;
  // Part of a login: goes without the session that there may be, and the answer's token is moved
  // into the cookie.
  signsIn?: boolean;
  signal?: AbortSignal;
}

let namespace = "";
let onRefused: () => void = () => {};

export function setNamespace(name: string): void {
  namespace = name.replace(/^\/+|\/+$/g, "");
}

export function getNamespace(): string {
  return namespace;
}

// Called after a 403: the session may be over.
export function whenRefused(call: () => void): void {
  onRefused = call;
}

function cookie(name: string): string | null {
  for (const pair of document.cookie.split("; ")) {
    const equals = pair.indexOf("=");
    if (pair.slice(0, equals) === name) return pair.slice(equals + 1);
  }
  return null;
}

export function csrfToken(): string | null {
  return cookie("__Host-curfew-csrf") ?? cookie("curfew-csrf");
}

export function requestHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  const csrf = csrfToken();
  if (csrf) headers["X-Curfew-CSRF"] = csrf;
  if (namespace) headers["X-Vault-Namespace"] = namespace;
  return headers;
}

function messageOf(status: number, body: unknown): string {
  const errors = (body as { errors?: unknown })?.errors;
  if (Array.isArray(errors) && errors.length > 0) return errors.map(String).join("; ");
  if (status === 403) return "You may not do this.";
  if (status === 404) return "There is nothing here.";
  if (status === 503) return "The server cannot answer now; it may be sealed.";
  return `The server answered with status ${status}.`;
}

async function send(method: string, url: string, options: Options): Promise<Response> {
  const headers = options.signsIn ? { "X-Curfew-Browser": "1" } : requestHeaders();
  if (options.signsIn && namespace) Object.assign(headers, { "X-Vault-Namespace": namespace });
  if (options.body !== undefined) Object.assign(headers, { "Content-Type": "application/json" });
  try {
    return await fetch(url, {
      method,
      headers: headers as Record<string, string>,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: options.signal ?? null,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "The server was not reached. Check the connection and try again.");
  }
}

async function answer<T>(method: string, url: string, options: Options): Promise<Envelope<T>> {
  const response = await send(method, url, options);
  noteServerTime(response.headers.get("Date"));
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(response.status, "The answer is not Curfew's; is a proxy in between?");
  }
  if (!response.ok) {
    if (response.status === 403 && !options.signsIn) onRefused();
    throw new ApiError(response.status, messageOf(response.status, body));
  }
  const envelope = (body ?? {}) as Partial<Envelope<T>>;
  return {
    data: (envelope.data ?? {}) as T,
    warnings: envelope.warnings ?? null,
    auth: envelope.auth ?? null,
  };
}

function withQuery(path: string, query: Options["query"]): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined && value !== "") search.set(name, String(value));
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

// `path` is below /v1/, its segments escaped.
export async function read<T>(path: string, options: Options = {}): Promise<T> {
  return (await answer<T>("GET", withQuery(`/v1/${path}`, options.query), options)).data;
}

export async function write<T>(path: string, body: unknown, options: Options = {}): Promise<T> {
  return (await answer<T>("POST", `/v1/${path}`, { ...options, body })).data;
}

export async function remove<T>(path: string, options: Options = {}): Promise<T> {
  return (await answer<T>("DELETE", `/v1/${path}`, options)).data;
}

// A list that found nothing is a 404 of Vault's.
export async function list<T>(path: string, options: Options = {}): Promise<T | null> {
  try {
    return await read<T>(path, { ...options, query: { ...options.query, list: true } });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

export async function signIn(path: string, body: unknown): Promise<void> {
  await answer("POST", `/v1/${path}`, { body, signsIn: true });
}

export async function signInWithToken(token: string): Promise<void> {
  await answer("POST", "/ui/session", { body: { token }, signsIn: true });
}

export async function signOut(): Promise<void> {
  await answer("DELETE", "/ui/session", {});
}
