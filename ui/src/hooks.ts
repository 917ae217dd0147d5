import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { ApiError } from "./api";

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export interface Resource<T> {
  data: T | null;
  error: ApiError | Error | null;
  loading: boolean; // nothing to show yet
  reload: () => Promise<void>;
  set: (data: T) => void;
}

// Loads something, again whenever `key` changes and every `everySeconds` while the page is seen.
// What was loaded stays while it is loaded again; an older answer never overwrites a newer one.
export function useResource<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  everySeconds = 0,
): Resource<T> {
  const [shown, setShown] = useState<{
    key: string;
    data: T | null;
    error: Error | null;
    loaded: boolean;
  }>({ key, data: null, error: null, loaded: false });
  const latest = useRef({ load, key });
  latest.current = { load, key };
  const running = useRef<AbortController | null>(null);

  const reload = useCallback(async () => {
    running.current?.abort();
    const control = new AbortController();
    running.current = control;
    const { load: run, key: of } = latest.current;
    try {
      const data = await run(control.signal);
      if (!control.signal.aborted) setShown({ key: of, data, error: null, loaded: true });
    } catch (error) {
      if (control.signal.aborted) return;
      setShown((before) => ({
        key: of,
        data: before.key === of ? before.data : null,
        error: error as Error,
        loaded: true,
      }));
    }
  }, []);

  useEffect(() => {
    void reload();
    return () => running.current?.abort();
  }, [key, reload]);

  useEffect(() => {
    if (everySeconds <= 0) return;
    const timer = setInterval(() => {
      if (!document.hidden) void reload();
    }, everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds, reload]);

  const set = useCallback((data: T) => {
    running.current?.abort();
    setShown({ key: latest.current.key, data, error: null, loaded: true });
  }, []);

  const current = shown.key === key;
  return {
    data: current ? shown.data : null,
    error: current ? shown.error : null,
    loading: !current || !shown.loaded,
    reload,
    set,
  };
}

// Text for the screen reader's live region.
let speak: (text: string) => void = () => {};

export function announce(text: string): void {
  speak(text);
}

export function useAnnouncements(): string {
  const [text, setText] = useState("");
  useEffect(() => {
    speak = (next) => {
      // The same text twice is read twice.
      setText("");
      setTimeout(() => setText(next), 50);
    };
    return () => {
      speak = () => {};
    };
  }, []);
  return text;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Curfew` : "Curfew";
  }, [title]);
}
