import { useState } from "preact/hooks";

import { ApiError, write } from "../api";
import { announce } from "../hooks";
import { line } from "../text";
import { duration, parseDuration } from "../time";
import type { Approval } from "../types";
import { agentName, databaseName, headline, shortDigest } from "./approval";
import { Fact, Facts, Field, Mono, Notice } from "./basics";
import { ActionDialog } from "./dialog";
import { Icon, type IconName } from "./icons";

export type Verdict = "approve" | "deny" | "narrow" | "cancel" | "withdraw" | "review";

interface Wording {
  button: string;
  title: string;
  action: string;
  done: string;
  icon: IconName;
  danger?: boolean;
  reason: "required" | "optional";
  hint: string;
}

function wording(verdict: Verdict, view: Approval): Wording {
  const task = view.kind === "task";
  switch (verdict) {
    case "approve":
      return {
        button: "Approve",
        title: task ? "Approve this task?" : "Approve this access?",
        action: "Approve",
        done: "Approved.",
        icon: "check",
        reason: "optional",
        hint: "Kept with the decision.",
      };
    case "deny":
      return {
        button: "Deny",
        title: "Deny this request?",
        action: "Deny",
        done: "Denied.",
        icon: "cross",
        danger: true,
        reason: "required",
        hint: "The agent and its human will read it.",
      };
    case "narrow":
      return {
        button: "Narrow",
        title: "Approve for a shorter time?",
        action: "Narrow and approve",
        done: "Narrowed and approved. Other approvals have to be given again.",
        icon: "clock",
        reason: "optional",
        hint: "Kept with the decision.",
      };
    case "cancel":
      return {
        button: "Cancel the request",
        title: "Cancel this request?",
        action: "Cancel it",
        done: "Cancelled.",
        icon: "minus",
        danger: true,
        reason: "optional",
        hint: "Kept with the request.",
      };
    case "withdraw":
      return {
        button: task ? "End task" : "Withdraw",
        title: task ? "End this task?" : "Withdraw the approval?",
        action: task ? "End it now" : "Withdraw",
        done: task
          ? "The task is ended; what it holds is taken away."
          : "Withdrawn; what was handed out is taken away.",
        icon: "undo",
        danger: true,
        reason: "required",
        hint: "Kept with the decision. Leases that came of it are ended, with a receipt.",
      };
    case "review":
      return {
        button: "Review",
        title: "Review this use of break glass",
        action: "Mark as reviewed",
        done: "Reviewed.",
        icon: "check",
        reason: "required",
        hint: "What you looked at, and whether it was right.",
      };
  }
}

const stale =
  "This request changed while you looked at it. Nothing was decided. Look again at what is asked now.";
const moved = "Somebody was faster: this request has moved on. Nothing was changed.";

interface Props {
  view: Approval;
  verdict: Verdict;
  onClose: () => void;
  // The view after the decision.
  onDone: (view: Approval) => void;
  // The content or state is another one by now.
  onChanged: (why: string) => void;
}

function What({ view }: { view: Approval }) {
  return (
    <Facts>
      <Fact name="What">{headline(view)}</Fact>
      <Fact name="Database">{databaseName(view)}</Fact>
      <Fact name="For">{agentName(view)}</Fact>
      <Fact name="Lives for">{view.ttl > 0 && duration(view.ttl)}</Fact>
      <Fact name="Content">
        <Mono text={shortDigest(view.digest)} />
      </Fact>
    </Facts>
  );
}

export function DecisionDialog({ view, verdict, onClose, onDone, onChanged }: Props) {
  const words = wording(verdict, view);
  const [reason, setReason] = useState("");
  const [ttl, setTtl] = useState(() => `${Math.max(1, Math.floor(view.ttl / 120))}m`);
  const seconds = parseDuration(ttl);
  const ttlWrong =
    verdict === "narrow" && !(seconds >= 1 && seconds < view.ttl)
      ? `Give a time shorter than ${duration(view.ttl)}, such as 5m.`
      : "";
  const reasonMissing = words.reason === "required" && reason.trim() === "";
  const run = async () => {
    const body: Record<string, unknown> = { reason: reason.trim() };
    // What was on the screen when this was opened, not what is there by now.
    if (verdict === "approve" || verdict === "narrow") body.digest = view.digest;
    if (verdict === "narrow") body.ttl = `${seconds}s`;
    try {
      const after = await write<Approval>(
        `sys/approvals/${encodeURIComponent(view.id)}/${verdict}`,
        body,
      );
      announce(words.done);
      onDone(after);
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) return onChanged(stale);
      if (error instanceof ApiError && error.status === 409)
        return onChanged(`${moved} ${line(error.message)}`);
      throw error;
    }
  };
  return (
    <ActionDialog
      title={words.title}
      action={words.action}
      danger={words.danger}
      disabled={reasonMissing || ttlWrong !== ""}
      run={run}
      onClose={onClose}
    >
      <What view={view} />
      {verdict === "narrow" && (
        <>
          <Field
            label="Lives for"
            value={ttl}
            onInput={setTtl}
            required
            error={ttlWrong}
            hint={`Asked for: ${duration(view.ttl)}`}
          />
          <Notice tone="quiet">Approvals given so far have to be given again for the new time.</Notice>
        </>
      )}
      <Field
        label="Reason"
        value={reason}
        onInput={setReason}
        multiline
        required={words.reason === "required"}
        optional={words.reason === "optional"}
        hint={words.hint}
      />
    </ActionDialog>
  );
}

const order: Verdict[] = ["approve", "narrow", "deny", "review", "withdraw", "cancel"];

// The buttons for what whoever looks may do, and the dialogs behind them.
export function Decisions(props: {
  view: Approval;
  // Whether the evidence is on the screen; without it nothing is approved.
  complete: boolean;
  onDone: (view: Approval) => void;
  onChanged: (why: string) => void;
}) {
  const { view } = props;
  const [open, setOpen] = useState<{ verdict: Verdict; view: Approval } | null>(null);
  const can = view.can ?? {};
  const offered = order.filter((verdict) => can[verdict]);
  return (
    <div class="decisions">
      {offered.map((verdict) => {
        const words = wording(verdict, view);
        const look = verdict === "approve" ? "primary" : words.danger ? "danger-quiet" : "";
        return (
          <button
            key={verdict}
            type="button"
            class={look}
            disabled={verdict === "approve" && !props.complete}
            onClick={() => setOpen({ verdict, view })}
          >
            <Icon name={words.icon} />
            {words.button}
          </button>
        );
      })}
      {!can.approve && view.state === "pending" && can.why_not && (
        <p class="why-not">{line(can.why_not)}</p>
      )}
      {open && (
        <DecisionDialog
          view={open.view}
          verdict={open.verdict}
          onClose={() => setOpen(null)}
          onDone={(after) => {
            setOpen(null);
            props.onDone(after);
          }}
          onChanged={(why) => {
            setOpen(null);
            announce(why);
            props.onChanged(why);
          }}
        />
      )}
    </div>
  );
}

