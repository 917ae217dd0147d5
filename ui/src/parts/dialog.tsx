import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

import { errorText } from "../hooks";
import { line } from "../text";
import { Notice } from "./basics";
import { Icon } from "./icons";

// A question in front of the page. Escape and "Cancel" close it, and the focus goes back to where
// it was.
export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const title = useId();
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement as HTMLElement | null;
    dialog?.showModal();
    // Where something is asked for there first, and else on what does nothing.
    dialog
      ?.querySelector<HTMLElement>("input, textarea, select, .buttons button")
      ?.focus({ preventScroll: true });
    return () => {
      dialog?.close();
      if (before?.isConnected) before.focus();
      else document.getElementById("page-title")?.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={props.wide ? "dialog wide" : "dialog"}
      aria-labelledby={title}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
    >
      <div class="dialog-head">
        <h2 id={title}>{props.title}</h2>
        <button type="button" class="quiet" onClick={props.onClose}>
          <Icon name="close" />
          <span class="unseen">Close</span>
        </button>
      </div>
      {props.children}
    </dialog>
  );
}

// A dialog that does something when it is confirmed, and says so where that fails.
export function ActionDialog(props: {
  title: string;
  action: string;
  danger?: boolean;
  disabled?: boolean;
  run: () => Promise<void>;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy || props.disabled) return;
    setBusy(true);
    setError("");
    try {
      await props.run();
    } catch (failure) {
      setError(line(errorText(failure)));
    }
    setBusy(false);
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <form onSubmit={submit}>
        {props.children}
        {error && (
          <Notice tone="bad" role="alert" title="That did not work.">
            {error}
          </Notice>
        )}
        <div class="buttons">
          <button type="button" onClick={props.onClose}>
            Cancel
          </button>
          <button
            type="submit"
            class={props.danger ? "danger" : "primary"}
            disabled={busy || props.disabled}
          >
            {busy ? "One moment …" : props.action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
