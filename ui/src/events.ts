import { useEffect, useRef, useState } from "preact/hooks";

import { requestHeaders } from "./api";

// The live stream of approval requests. What comes says only that something changed; whoever
// listens loads it again. After every interruption all listeners are told, for events may be
// missing.

export type Connection = "connecting" | "live" | "lost" | "polling";

export interface ApprovalEvent {
  id?: string; // absent: anything may have changed
  state?: string;
  role?: string;
  kind?: string;
  waiting?: boolean;
}

const SILENCE_MAX = 75_000; // the server sends a heartbeat well before
const POLL = 10_000;
const BACKOFF_MAX = 15_000;

type Listener = (event: ApprovalEvent) => void;

class Stream {
  connection: Connection = "connecting";
  private listeners = new Set<Listener>();
  private watchers = new Set<(connection: Connection) => void>();
  private control: AbortController | null = null;
  private generation = 0;

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  watch(watcher: (connection: Connection) => void): () => void {
    this.watchers.add(watcher);
    watcher(this.connection);
    return () => this.watchers.delete(watcher);
  }

  start(): () => void {
    const generation = ++this.generation;
    this.set("connecting");
    void this.run(generation);
    const wake = () => this.control?.abort("online");
    const lose = () => {
      this.set("lost");
      this.control?.abort("offline");
    };
    addEventListener("online", wake);
    addEventListener("offline", lose);
    return () => {
      ++this.generation;
      this.control?.abort();
      removeEventListener("online", wake);
      removeEventListener("offline", lose);
    };
  }

  private set(connection: Connection): void {
    if (this.connection === connection) return;
    this.connection = connection;
    for (const watcher of this.watchers) watcher(connection);
  }

  private tell(event: ApprovalEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  private async run(generation: number): Promise<void> {
    let failures = 0;
    while (generation === this.generation) {
      const control = new AbortController();
      this.control = control;
      const outcome = await this.follow(control).catch(() => "failed" as const);
      if (generation !== this.generation) return;
      if (outcome === "ended") {
        failures = 0;
        continue;
      }
      if (outcome === "absent") {
        this.set("polling");
        this.tell({});
        await pause(POLL, control.signal);
        continue;
      }
      ++failures;
      this.set("lost");
      const wait = Math.min(BACKOFF_MAX, 500 * 2 ** Math.min(failures, 6));
      this.control = new AbortController();
      await pause(wait, this.control.signal);
    }
  }

  // Reads one stream to its end.
  private async follow(control: AbortController): Promise<"ended" | "absent" | "failed"> {
    let silence = setTimeout(() => control.abort("silence"), SILENCE_MAX);
    try {
      const response = await fetch("/v1/sys/approvals/events", {
        headers: { ...requestHeaders(), Accept: "text/event-stream" },
        credentials: "same-origin",
        cache: "no-store",
        signal: control.signal,
      });
      if ([403, 404, 405, 501].includes(response.status)) return "absent";
      const type = response.headers.get("Content-Type") ?? "";
      if (!response.ok || !type.startsWith("text/event-stream") || !response.body) return "failed";
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      this.set("live");
      this.tell({});
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "ended";
        clearTimeout(silence);
        silence = setTimeout(() => control.abort("silence"), SILENCE_MAX);
        rest = this.take(rest + value.replace(/\r/g, ""));
      }
    } finally {
      clearTimeout(silence);
    }
  }

  // Tells the events that are complete; gives what is left.
  private take(text: string): string {
    const blocks = text.split("\n\n");
    const rest = blocks.pop() ?? "";
    for (const block of blocks) {
      let name = "message";
      let data = "";
      for (const row of block.split("\n")) {
        if (row.startsWith("event:")) name = row.slice(6).trim();
        if (row.startsWith("data:")) data += row.slice(5).trim();
      }
      if (name !== "approval") continue;
      try {
        this.tell(JSON.parse(data) as ApprovalEvent);
      } catch {
        this.tell({});
      }
    }
    return rest;
  }
}

function pause(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

export const approvals = new Stream();

export function useConnection(): Connection {
  const [connection, setConnection] = useState<Connection>(approvals.connection);
  useEffect(() => approvals.watch(setConnection), []);
  return connection;
}

// Calls `changed` when a request (that of `id`, if given) may have changed.
export function useApprovalEvents(changed: Listener, id?: string): void {
  const latest = useRef(changed);
  latest.current = changed;
  useEffect(
    () =>
      approvals.listen((event) => {
        if (id === undefined || event.id === undefined || event.id === id) latest.current(event);
      }),
    [id],
  );
}
