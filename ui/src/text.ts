// What agents and other programs wrote is shown as text and nothing else.

// Control characters, and those that change the direction or hide what stands there.
const HIDDEN =
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF9-\uFFFB]|[\u{E0000}-\u{E0FFF}]/gu;
const LENGTH_MAX = 8000;

// Text of any origin, fit to be shown: without what hides or reorders, and of a bounded length.
export function clean(value: unknown): string {
  if (value === null || value === undefined) return "";
  const raw = typeof value === "string" ? value : JSON.stringify(value);
  const text = raw.replace(/\r\n?/g, "\n").replace(HIDDEN, "");
  return text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX)} … (shortened)` : text;
}

// The same, on one line.
export function line(value: unknown): string {
  return clean(value).replace(/\s+/g, " ").trim();
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

// "auth/token/…" fits a URL's path: each segment escaped, slashes kept.
export function pathOf(text: string): string {
  return text.split("/").map(encodeURIComponent).join("/");
}

// "expires_at" as people read it.
export function label(name: string): string {
  const words = name.replace(/_/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
