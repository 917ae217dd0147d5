import { useEffect, useState } from "preact/hooks";

// The server's clock minus this machine's, from the answers' Date headers; countdowns go by it.
let difference = 0;

export function noteServerTime(date: string | null): void {
  const server = date ? Date.parse(date) : NaN;
  if (Number.isNaN(server)) return;
  const seen = server - Date.now();
  // The header has whole seconds, so small differences mean nothing.
  difference = Math.abs(seen) < 2000 ? 0 : seen;
}

export function serverNow(): number {
  return Date.now() + difference;
}

// The time, every second; only while the page can be seen.
export function useNow(): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNow(serverNow());
    }, 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

// "2 h 5 min", "14 min", "45 s": two units at most.
export function duration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(total / 86400), "d"],
    [Math.floor(total / 3600) % 24, "h"],
    [Math.floor(total / 60) % 60, "min"],
    [total % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

// "4:05" or "1:04:05", for countdowns.
export function clockTime(seconds: number): string {
  const total = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  if (hours >= 48) return duration(total);
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(total % 60)}`
    : `${minutes}:${two(total % 60)}`;
}

export function millis(time: string | null | undefined): number {
  const value = time ? Date.parse(time) : NaN;
  return Number.isNaN(value) ? 0 : value;
}

const day = new Intl.DateTimeFormat("en", {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});
const today = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });

export function dateTime(time: string | null | undefined): string {
  const value = millis(time);
  if (value === 0) return "–";
  const same = new Date(value).toDateString() === new Date().toDateString();
  return (same ? today : day).format(value);
}

// "15m", "1h30m", "900": what people type for a duration; in seconds, NaN if it is none.
export function parseDuration(text: string): number {
  const trimmed = text.trim().toLowerCase();
  if (/^\d+$/.test(trimmed)) return Number(trimmed);
  if (!/^(\d+\s*[dhms]\s*)+$/.test(trimmed)) return NaN;
  const units: Record<string, number> = { d: 86400, h: 3600, m: 60, s: 1 };
  let seconds = 0;
  for (const [, count, unit] of trimmed.matchAll(/(\d+)\s*([dhms])/g))
    seconds += Number(count) * (units[unit ?? ""] ?? NaN);
  return seconds;
}
